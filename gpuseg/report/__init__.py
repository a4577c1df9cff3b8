"""What people see of a run: one self-contained HTML page."""

from gpuseg.report.html import render_report

__all__ = ["render_report"]
