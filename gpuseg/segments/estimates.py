"""What a fit will take, before anything is read."""

from collections.abc import Iterable
from typing import Any, Literal

from gpuseg.clustering.cost import density_cost
from gpuseg.clustering.density import resolved_density
from gpuseg.config import Config
from gpuseg.engine.base import Device
from gpuseg.workspace.version import Version

_EXAMPLES, _SOME_FEATURES = (10_000, 100_000), 50


def fit_costs(config: Config, device: Device, versions: Iterable[Version | None]) -> list[dict[str, Any]]:
    """Time and memory of hdbscan fits, also of lenses; nothing for k-means, which takes seconds.

    Parameters
    ----------
    config : Config
    device : Device
    versions : iterable of Version or None
        Earlier versions of the run; the first whose features are built tells how many profiles there are.

    Returns
    -------
    list of dict
        `version` (None for examples, where no version tells), `n_profiles`, `n_features` (at most so many),
        `seconds` (None where it was never measured), `n_bytes` and `text`.
    """
    wanted = [("", config)]
    wanted += [(f"lens {lens.name}: ", config.model_copy(update={"cluster": lens.cluster})) for lens in config.lenses]
    dense = [(word, each) for word, each in wanted if each.cluster.method == "hdbscan"]
    given = list(versions)
    return [cost | {"text": word + cost["text"]} for word, each in dense for cost in _costs(each, device, given)]


def _costs(config: Config, device: Device, versions: Iterable[Version | None]) -> list[dict[str, Any]]:
    records = ((version.name, version.stage("features")) for version in versions if version is not None)
    known = next(((name, record.facts) for name, record in records if record is not None), None)
    if known is None:
        return [_cost(config, device, None, n, _SOME_FEATURES) for n in _EXAMPLES]
    return [_cost(config, device, known[0], known[1]["n_profiles"], known[1]["n_features"])]


def _cost(config: Config, device: Device, version: str | None, n_profiles: int, n_features: int) -> dict[str, Any]:
    section = config.cluster
    # Settings beyond the profiles end the fit with an error, which is not for here to say.
    density = resolved_density(
        n_profiles,
        min_cluster_size=_at_most(section.min_cluster_size, n_profiles),
        min_samples=_at_most(section.min_samples, n_profiles),
        noise=section.noise,
        min_share=section.min_segment_share,
    )
    found = density_cost(n_profiles, n_features, device=device, min_samples=density.min_samples)
    return {
        "version": version,
        "n_profiles": n_profiles,
        "n_features": n_features,
        "seconds": found.seconds,
        "n_bytes": found.n_bytes,
        "text": found.text + (f" (as many as in {version})" if version else " (for example)"),
    }


def _at_most(given: int | Literal["auto"], n: int) -> int | Literal["auto"]:
    return "auto" if given == "auto" else min(given, n)
