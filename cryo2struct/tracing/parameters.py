"""Weights of the default tracing mode."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class TracingSettings:
    """Every weight of the default mode. Scores are log odds (nats).

    Attributes
    ----------
    type_temperature : float
        Divides the log odds of the amino-acid types; above 1 for a network that is too sure.
    type_cap : float
        Largest size of a residue's log odds, nats.
    link_sd : float
        Standard deviation of the distance of consecutive C-alphas around 3.8 angstrom, angstrom.
    coarse_link_sd : float
        The same where positions are poor; tried when `link_sd` leaves much out, and kept if more is expected right.
    link_bonus : float
        Added for every link: evidence for a chain that lies in the distance itself, nats.
    skip_steps : int
        Largest number of residues that one link advances, 1 to 5; one less may lack a candidate.
    skip_open, skip_extend : float
        Cost of the first and of each further residue without a candidate, nats.
    direction_weight : float
        Weight of the predicted directions to the next and previous C-alpha.
    direction_kappa : float
        Concentration (von Mises-Fisher) of those directions around the true ones.
    direction_outliers : float
        Share of those directions that say nothing.
    bend_weight : float
        Weight of the distance of C-alphas two residues apart.
    break_cost : float
        Cost of a further piece of a chain, nats: what a piece must bring by itself.
    beam : int
        Hypotheses per residue and candidate.
    width : int
        Hypotheses per residue.
    rounds : int
        Rounds in which chains negotiate for candidates.
    present_price, history_price : float
        Growth of the price of a contested candidate per round, nats.
    register_window : int
        Residues on either side whose types decide about a residue's register.
    register_temperature : float
        Divides the evidence for the register; above 1 because neighbouring residues err together.
    chance_evidence : float
        Evidence that a path reaches in such a window without being right, nats.
    min_register : float
        Residues with a lower probability of being in register are left out.
    min_segment : int
        Shorter runs are left out, residues.
    max_interpolated : int
        Longest gap that is filled by interpolation, residues.
    """

    type_temperature: float = 1.1
    type_cap: float = 3.0
    link_sd: float = 0.75
    coarse_link_sd: float = 1.0
    link_bonus: float = 0.15
    skip_steps: int = 4
    skip_open: float = 3.0
    skip_extend: float = 1.0
    direction_weight: float = 0.4
    direction_kappa: float = 4.5
    direction_outliers: float = 0.12
    bend_weight: float = 0.25
    break_cost: float = 8.0
    beam: int = 8
    width: int = 4000
    rounds: int = 10
    present_price: float = 0.2
    history_price: float = 0.15
    register_window: int = 7
    register_temperature: float = 2.5
    chance_evidence: float = 12.0
    min_register: float = 0.25
    min_segment: int = 4
    max_interpolated: int = 1
