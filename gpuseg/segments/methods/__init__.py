"""The methods of clustering profiles: one file and one row of the table each."""

from gpuseg.segments.methods.hdbscan import HDBSCAN
from gpuseg.segments.methods.hierarchical import HIERARCHICAL
from gpuseg.segments.methods.kmeans import KMEANS
from gpuseg.segments.methods.rules import RULES

METHODS = {"kmeans": KMEANS, "hierarchical": HIERARCHICAL, "hdbscan": HDBSCAN, "rules": RULES}
