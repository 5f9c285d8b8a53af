"""Every setting of `build`, with its type, unit and range; configs/build.yaml holds the values.

A value is taken from configs/build.yaml, then from the user's `--config` file, then from `--set key=value`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any, Literal

import yaml
from pydantic import BaseModel, ConfigDict, Field, ValidationError, field_validator

from cryo2struct.errors import InputError, ResourceError, UsageError


def data_path(name: str) -> Path:
    """Path of a file or folder that comes with the package: `weights`, `configs`, `examples`.

    In a wheel they lie in the package's `_data`; in a checkout or an editable install at the top of the repository.

    Raises
    ------
    ResourceError
        It is in neither place.
    """
    package = Path(__file__).resolve().parent
    for path in (package / "_data" / name, package.parent / name):
        if path.exists():
            return path
    raise ResourceError(f"{name}: missing from the installation at {package}: install the package again")


class _Group(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")


class MapSettings(_Group):
    """How the map is read."""

    voxel_size: float | None = Field(None, gt=0, description="A; overrules the header")
    origin: Literal["auto", "header", "nstart", "zero"] = Field("auto", description="which header field places voxel 0")
    contour: float | None = Field(None, description="map units; voxels below are not predicted")
    resolution: float | None = Field(None, gt=0, description="A; estimated from the map when absent")
    mirror: Literal["no", "yes", "auto"] = Field("no", description="build in the mirrored map; auto: if left-handed")
    max_voxels: int = Field(gt=0, description="larger maps are refused")

    @field_validator("mirror", mode="before")
    @classmethod
    def _word(cls, value: Any) -> Any:
        """YAML reads the words no and yes as false and true."""
        return {False: "no", True: "yes"}[value] if isinstance(value, bool) else value


class PredictionSettings(_Group):
    """How the network runs over the map."""

    weights: str = Field(description="name in the manifest of weights")
    tile: int = Field(ge=16, multiple_of=8, description="side of a tile, voxels of about 1 A")
    overlap: int = Field(ge=0, multiple_of=2, description="overlap of neighbouring tiles, voxels")
    batch: int = Field(ge=1, description="tiles per pass")
    rotations: int = Field(ge=1, le=8, description="orientations in which each tile is predicted, for the mean")


class PickingSettings(_Group):
    """How candidates are taken from the prediction."""

    smoothing: float = Field(ge=0, description="Gaussian before maxima are sought, voxels")
    separation: float = Field(gt=0, description="smallest distance of two candidates, A")
    radius: float = Field(gt=0, description="radius of the probability-weighted centre, A")
    threshold: float = Field(ge=0, le=1, description="smallest presence probability that is looked at again")
    presence_slope: float = Field(description="calibration: slope of the presence log odds")
    presence_offset: float = Field(description="calibration: offset of the presence log odds")


class ResidueSettings(_Group):
    """How candidates are looked at one by one."""

    weights: str = Field(description="name in the manifest of weights")
    pairs: int = Field(ge=1, description="pairs of neighbours per candidate that suggest frames")
    rounds: int = Field(ge=0, description="times that the likely frame is seen again from corrected positions")
    batch: int = Field(ge=1, description="frames per pass")
    sharpening: list[float] = Field(
        min_length=1,
        description="B factors tried on the map, below 0 sharpens, A^2; the one with the surest types is taken",
    )
    threshold: float = Field(ge=0, le=1, description="smallest presence probability that a candidate keeps")
    presence_weight: float = Field(ge=0, description="calibration: factor of the residue network's log odds")
    voxel_presence_weight: float = Field(ge=0, description="calibration: factor of the voxel network's log odds")
    presence_offset: float = Field(description="calibration: offset of the summed log odds")
    weight: float = Field(ge=0, description="calibration: exponent of the residue network's type probabilities")
    voxel_weight: float = Field(ge=0, description="calibration: exponent of the voxel network's type probabilities")


class SequenceSettings(_Group):
    """Whether candidates are looked at together with the sequences before they are traced."""

    features: str = Field(
        pattern=r"^(none|builtin|esm2_t\d+_\w+)$", description="none, builtin, or an ESM-2 model such as esm2_t6_8M"
    )
    esm_weights: Path | None = Field(None, description="file of the ESM-2 model, .pt; download: fair-esm's own")
    weight: float = Field(ge=0, description="calibration: factor on the head's correction of the log types")
    head: Path | None = Field(None, description="folder of an exported sequence head; the shipped one when absent")


class UnderconfidentTracingSettings(_Group):
    """Weights of tracing where types are noisy or less sure than they are right, see `TracingSettings`."""

    type_temperature: float = Field(gt=0, description="divides the log odds of the amino-acid types")
    type_confusion: float = Field(ge=0, le=1, description="share that types which are taken for each other have")
    skip_open: float = Field(ge=0, description="cost of the first residue without a candidate, nats")
    bend_weight: float = Field(ge=0, description="weight of the distance of C-alphas two residues apart")


class PoorTracingSettings(_Group):
    """Weights of tracing where types are noisy, and positions and directions as well, see `TracingSettings`."""

    link_sd: float = Field(gt=0, description="sd of the distance of consecutive C-alphas around 3.8 A, A")
    link_bonus: float = Field(description="added for every link, nats")
    skip_open: float = Field(ge=0, description="cost of the first residue without a candidate, nats")
    direction_weight: float = Field(ge=0, description="weight of the predicted directions")
    direction_kappa: float = Field(gt=0, description="concentration of those directions around the true ones")
    direction_offset: float = Field(description="log odds from which on they speak for a link")
    bend_weight: float = Field(ge=0, description="weight of the distance of C-alphas two residues apart")
    twist_weight: float = Field(ge=0, description="weight of the twist of four C-alphas in a row")
    break_cost: float = Field(ge=0, description="cost of a further piece of a chain, nats")


class TracingSettings(_Group):
    """Weights of the default tracing mode. Scores are log odds (nats)."""

    type_temperature: float = Field(
        gt=0, description="divides the log odds of the amino-acid types; above 1 for a network that is too sure"
    )
    type_confusion: float = Field(
        ge=0, le=1, description="share of a type's log probability that is the mean of those it is confused with"
    )
    type_cap: float = Field(gt=0, description="largest size of a residue's log odds, nats")
    attention_weight: float = Field(
        ge=0, description="weight of the sequence head's attention beside the types; nothing where it did not run"
    )
    link_sd: float = Field(gt=0, description="sd of the distance of consecutive C-alphas around 3.8 A, A")
    link_bonus: float = Field(
        description="added for every link: evidence for a chain that lies in the distance itself, nats"
    )
    skip_steps: int = Field(
        ge=1,
        le=5,
        description="largest number of residues that one link advances, 1 to 5; one less may lack a candidate",
    )
    skip_open: float = Field(ge=0, description="cost of the first residue without a candidate, nats")
    skip_extend: float = Field(ge=0, description="cost of each further residue without a candidate, nats")
    direction_weight: float = Field(
        ge=0, description="weight of the predicted directions to the next and previous C-alpha"
    )
    direction_kappa: float = Field(
        gt=0, description="concentration (von Mises-Fisher) of those directions around the true ones"
    )
    direction_offset: float = Field(
        description="log odds of these directions, against directions at random, from which on they speak for a link"
    )
    direction_outliers: float = Field(ge=0, le=1, description="share of those directions that say nothing")
    min_reverse: float = Field(
        gt=0,
        le=1,
        description="least probability that the chain runs the other way of candidates that are tried so too",
    )
    reverse_weight: float = Field(ge=0, description="weight of the log odds of both ways")
    bend_weight: float = Field(ge=0, description="weight of the distance of C-alphas two residues apart")
    twist_weight: float = Field(ge=0, description="weight of the twist of four C-alphas in a row")
    break_cost: float = Field(
        ge=0, description="cost of a further piece of a chain, nats: what a piece must bring by itself"
    )
    beam: int = Field(ge=1, description="hypotheses per residue and candidate")
    width: int = Field(ge=1, description="hypotheses per residue")
    rounds: int = Field(ge=0, description="rounds in which chains negotiate for candidates")
    present_price: float = Field(
        ge=0, description="growth of the price of a candidate in use elsewhere, per round, nats"
    )
    history_price: float = Field(
        ge=0, description="growth of the price of a candidate that was contested before, per round, nats"
    )
    register_window: int = Field(
        ge=1, description="residues on either side whose types decide about a residue's register"
    )
    register_temperature: float = Field(
        gt=0, description="divides the evidence for the register; above 1 because neighbouring residues err together"
    )
    chance_spread: float = Field(
        ge=0,
        description="evidence that a path which is nowhere right may reach: standard deviations above the mean of such",
    )
    chance_prior: float = Field(
        ge=0,
        le=1,
        description="weight of what a path shows to be right altogether against what a window shows; 0 ignores it",
    )
    slip: float = Field(
        ge=0, le=1, description="probability that a path leaves its register from one residue to the next one"
    )
    bridge_bonus: float = Field(
        ge=0, description="added per residue where the way between two sure residues is searched again, nats"
    )
    confidence_weights: tuple[float, float, float, float, float] = Field(
        description="log odds that a residue is right: offset, per nat that it brings to its path, per log odds of its "
        "register, per nat and log odds of the mean register, and where it comes back to its place under noise"
    )
    min_confidence: float = Field(
        ge=0, le=1, description="residues with a lower probability of being right are left out"
    )
    min_right: float = Field(
        ge=0,
        le=1,
        description="least share of the residues built that is expected right; the least likely are left out for it",
    )
    guess_factor: float = Field(
        gt=0,
        description="where nothing would be left, residues count that are this many times likelier than a random place",
    )
    copy_share: float = Field(
        gt=0,
        le=1,
        description="where the number of copies is unknown: what a copy needs of the residues of the best one",
    )
    min_segment: int = Field(ge=1, description="shorter runs are left out, residues")
    max_interpolated: int = Field(ge=0, description="longest gap that is filled by interpolation, residues")
    min_unassigned: int = Field(
        ge=0, description="shorter fragments that no sequence explains are left out, residues; 0 leaves out all"
    )
    unassigned_bonus: float = Field(description="added per residue of such a fragment, nats")
    underconfident: UnderconfidentTracingSettings = Field(
        description="taken instead of those above where types are less sure than they are right, or noisy"
    )
    poor: PoorTracingSettings = Field(
        description="with `underconfident` tried where much is left out and types are noisy; kept if likelier right"
    )


class RefinementSettings(_Group):
    """Whether the model is refined against the map."""

    mode: Literal["none", "backbone", "full"] = Field(
        description="what the map draws: nothing, the backbone, all atoms"
    )


class EnhancementSettings(_Group):
    """Whether `build` looks at an enhanced map, and how the enhancer runs over it."""

    use: Literal["none", "neural", "bfactor", "auto"] = Field(
        description="the map that is built into: the original, an enhanced one, or the better for each segment"
    )
    weights: Path | None = Field(None, description="folder of an exported enhancer; the shipped one when absent")
    tile: int = Field(ge=16, multiple_of=16, description="side of a tile, voxels of about 1 A; best that of training")
    overlap: int = Field(ge=0, multiple_of=2, description="overlap of neighbouring tiles, voxels")
    batch: int = Field(ge=1, description="tiles per pass")


class Settings(_Group):
    """All settings of `build`."""

    map: MapSettings
    prediction: PredictionSettings
    picking: PickingSettings
    residues: ResidueSettings
    sequence: SequenceSettings
    tracing: TracingSettings
    refinement: RefinementSettings
    enhancement: EnhancementSettings
    device: str = Field("auto", description="auto, cpu, cuda or cuda:N")
    threads: int | None = Field(None, ge=1, description="CPU threads; all cores when absent")
    seed: int = Field(0, ge=0)


def load_settings(config: Path | None = None, changes: Mapping[str, Any] | None = None) -> Settings:
    """Settings from configs/build.yaml, a user's file and changes.

    Parameters
    ----------
    config : path, optional
        YAML file with any part of the settings.
    changes : mapping of "key.key" to value, optional

    Raises
    ------
    InputError
        The file is missing or no YAML.
    UsageError
        A key does not exist or a value is out of range.
    """
    values: dict[str, Any] = _read_yaml(data_path("configs") / "build.yaml")
    if config is not None:
        _merge(values, _read_yaml(config))
    for key, value in (changes or {}).items():
        *parents, last = key.split(".")
        nested: dict[str, Any] = {last: value}
        for parent in reversed(parents):
            nested = {parent: nested}
        _merge(values, nested)
    try:
        return Settings.model_validate(values)
    except ValidationError as error:
        first = error.errors()[0]
        where = ".".join(str(part) for part in first["loc"])
        if first["type"] == "extra_forbidden":
            raise UsageError(f"setting {where}: not known: configs/build.yaml has them all") from error
        raise UsageError(f"setting {where}: {first['msg']}, found {first['input']!r}") from error


def parse_change(change: str) -> tuple[str, Any]:
    """Key and value of "key.key=value"; raises UsageError."""
    key, separator, value = change.partition("=")
    if not separator:
        raise UsageError(f"--set {change}: write it as key=value, e.g. picking.threshold=0.4")
    try:
        return key.strip(), yaml.safe_load(value)
    except yaml.YAMLError as error:
        raise UsageError(f"--set {change}: the value is no YAML: put it in quotes") from error


def _read_yaml(path: Path) -> dict[str, Any]:
    try:
        values = yaml.safe_load(path.read_text())
    except OSError as error:
        raise InputError(f"{path}: configuration cannot be read: {error.strerror}") from error
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise InputError(f"{path}: configuration is no YAML: {' '.join(str(error).split())}") from error
    if not isinstance(values, dict):
        raise InputError(f"{path}: configuration holds no keys: write e.g. picking: {{threshold: 0.4}}")
    return values


def _merge(values: dict[str, Any], changes: Mapping[str, Any]) -> None:
    for key, value in changes.items():
        if isinstance(values.get(key), dict):
            if not isinstance(value, Mapping):
                raise UsageError(f"setting {key}: is a group of settings: give {key}.NAME=VALUE, found {value!r}")
            _merge(values[key], value)
        else:
            values[key] = value
