"""Deterministic synthetic events of all five kinds, at any size, with planted segments and their truth.

Profiles are made in blocks of about a million events, each from its own seed, so memory does not grow with
the size asked for. The same `SynthSpec` gives the same bytes under the same NumPy and PyArrow.
"""

from gpuseg.synth.spec import SYNTH_KINDS, SynthSpec, SynthSummary
from gpuseg.synth.synthesis import synthesize

__all__ = ["SYNTH_KINDS", "SynthSpec", "SynthSummary", "synthesize"]
