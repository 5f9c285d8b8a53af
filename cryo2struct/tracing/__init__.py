"""Candidates and sequences become a trace: which residue of which chain is where."""

from cryo2struct.tracing.adoption import adopt
from cryo2struct.tracing.copies import copies_built
from cryo2struct.tracing.reference import trace_reference
from cryo2struct.tracing.summary import alternatives, summary
from cryo2struct.tracing.tracer import doubt, trace
from cryo2struct.tracing.unassigned import with_unassigned

__all__ = ["adopt", "alternatives", "copies_built", "doubt", "summary", "trace", "trace_reference", "with_unassigned"]
