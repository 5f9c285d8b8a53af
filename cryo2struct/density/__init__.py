"""Density maps as arrays on grids: resampling, noise, tiles, simulation, Fourier shells."""
