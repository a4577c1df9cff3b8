"""What people see of a run: one self-contained HTML page, and a model card."""

from gpuseg.report.html import render_report
from gpuseg.report.model_card import render_model_card

__all__ = ["render_model_card", "render_report"]
