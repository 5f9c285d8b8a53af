import warnings

import numba
import pytest

from hmm import _jit


def test_compiles_without_cache_and_warns_once(monkeypatch):
    plain = numba.njit

    def njit(*args, **options):
        if options.get("cache"):
            raise RuntimeError("cannot cache function 'f': no locator available for file 'f.py'")
        return plain(*args, **options)

    monkeypatch.setattr(numba, "njit", njit)
    monkeypatch.setattr(_jit, "_warned", False)
    with pytest.warns(RuntimeWarning, match="NUMBA_CACHE_DIR"):
        double = _jit.njit(lambda x: 2 * x)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        triple = _jit.njit(lambda x: 3 * x)
    assert (double(2), triple(2)) == (4, 6)


def test_other_faults_are_not_hidden(monkeypatch):
    def njit(*args, **options):
        raise RuntimeError("something else")

    monkeypatch.setattr(numba, "njit", njit)
    with pytest.raises(RuntimeError, match="something else"):
        _jit.njit(lambda x: x)
