"""Candidates and sequences become a trace: which residue of which chain is where."""

from cryo2struct.tracing.reference import trace_reference
from cryo2struct.tracing.tracer import trace

__all__ = ["trace", "trace_reference"]
