"""Makes and writes block after block."""

from collections.abc import Callable, Iterator
from contextlib import ExitStack
from pathlib import Path

import numpy as np

from gpuseg.synth.blocks import Block, plan_blocks, random_stream, split_counts
from gpuseg.synth.columns import Columns
from gpuseg.synth.configuration import write_config
from gpuseg.synth.crm import make_crm
from gpuseg.synth.events import EVENT_MAKERS
from gpuseg.synth.personas import PERSONAS
from gpuseg.synth.profiles import Profiles, count_events, make_profiles
from gpuseg.synth.spec import SynthSpec, SynthSummary
from gpuseg.synth.store import Store, claim_folder


def synthesize(spec: SynthSpec, out: Path, *, progress: Callable[[int, int], None] | None = None) -> SynthSummary:
    """Write synthetic events, their truth and a configuration that reads them.

    Parameters
    ----------
    spec : SynthSpec
        What to make.
    out : Path
        Folder for the files; made where missing. `gpuseg.yaml` is written last.
    progress : callable, optional
        Called after every block with the profiles done and all profiles.

    Returns
    -------
    SynthSummary

    Raises
    ------
    ConfigError
        If `out` is not an empty folder and cannot be made one.
    """
    out = Path(out)
    claim_folder(out)
    sizes = np.zeros(spec.n_segments, dtype=np.int64)
    n_orders = 0
    with ExitStack() as stack:
        stores = {name: stack.enter_context(Store(out, name, spec)) for name in (*spec.kinds, "truth")}
        for block in plan_blocks(spec):
            profiles = make_profiles(spec, block)
            sizes += np.bincount(profiles.segment, minlength=spec.n_segments)
            for name, rng, columns in _tables(spec, block, profiles):
                if name == "purchases":
                    columns["order_number"] += n_orders
                    n_orders = int(columns["order_number"].max(initial=n_orders))
                stores[name].write(rng, profiles.ids, columns)
            if progress:
                progress(block.first + block.size, spec.n_profiles)
    return SynthSummary(
        rows={kind: stores[kind].n_rows for kind in spec.kinds},
        files={name: tuple(store.files) for name, store in stores.items()},
        segments={persona.name: int(n) for persona, n in zip(PERSONAS[: spec.n_segments], sizes, strict=True)},
        config=write_config(spec, out),
    )


def _tables(spec: SynthSpec, block: Block, profiles: Profiles) -> Iterator[tuple[str, np.random.Generator, Columns]]:
    """Make what a block has for each store, with the random numbers that put its rows in order."""
    has_event = np.zeros(block.size, dtype=bool)
    for kind, counts in count_events(spec, block, profiles).items():
        has_event |= counts > 0
        for number, part in enumerate(split_counts(counts)):
            rng = random_stream(spec, block, kind, number)
            yield kind, rng, EVENT_MAKERS[kind](rng, profiles, part)
    truth = {"customer_id": np.arange(block.size), "segment": profiles.segment, "segment_name": profiles.segment}
    yield "truth", random_stream(spec, block, "truth"), truth
    if "crm" in spec.kinds:
        rng = random_stream(spec, block, "crm")
        yield "crm", rng, make_crm(rng, profiles, has_event)
