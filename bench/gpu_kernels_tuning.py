"""Where the time of the kernel goes: blocks of all sizes, and the kernel with parts left out of its source."""

import re
from collections.abc import Mapping
from dataclasses import replace
from functools import partial
from typing import Any

from gpu_kernels_launches import WHOLE, Watched
from gpu_kernels_world import SUMS, World

from gpuseg.engine.gpu import lloyd_kernel
from gpuseg.engine.gpu.lloyd_kernel import Wanted
from gpuseg.engine.gpu.shapes import Shape

_NO_ATOMICS = {
    r"atomicAdd\(low \+ place, value & FRACTION\);": r"if (value == 0x7fffffff) atomicAdd(low + place, value);",
    r"atomicAdd\(high \+ place, value >> FRACTION_BITS\);": "",
}
# What is never so keeps the compiler from leaving out what comes before.
_NO_ADDING = {
    r"add\(label \* FEATURES \+ feature, .*\);": "",
    r"if \(present\) atomicAdd\(counts \+ found\.label, 1\);": "if (found.label < 0) atomicAdd(counts, 1);",
}
_NO_TIES = {r"unsigned open = __ballot_sync\(.*\);": "unsigned open = 0;"}
_NO_DISTANCES = {r"(Nearest found = \{)distance\(row, .* PITCH\)(, -NEVER, ranks\.label\};)": r"\g<1>0.0f\g<2>"}
_NO_PRODUCTS = {
    r"multiply_add\(sum\[half\], high\[half\]\[step\], center\.x, center\.y\);": (
        "for (int i = 0; i < 4; ++i) sum[half][i] += __uint_as_float(high[half][step][i]);"
    ),
    r"multiply_add\(sum\[half\], high\[half\]\[step\], center\.z, center\.w\);": ";",
    r"multiply_add\(sum\[half\], low\[half\]\[step\], center\.x, center\.y\);": ";",
}
_NO_RANKING = {
    r"rank\(tile, .*\);(\s+__syncwarp\(\);\s+Nearest found = settled\()": (
        r"handover.best[lane] = 1e30f, handover.second[lane] = -1e30f;"
        r" handover.label[lane] = static_cast<int>((first + lane) % k);\g<1>"
    )
}

LEFT_OUT: Mapping[str, Mapping[str, str]] = {
    "nothing": {},
    "atomics in shared memory": _NO_ATOMICS,
    "ranking": _NO_RANKING | _NO_TIES,
    "adding up": _NO_ADDING,
    "adding up, near ties": _NO_ADDING | _NO_TIES,
    "adding up, near ties, distances": _NO_ADDING | _NO_TIES | _NO_DISTANCES,
    "adding up, near ties, distances, products": _NO_ADDING | _NO_TIES | _NO_DISTANCES | _NO_PRODUCTS,
    "all but reading": _NO_ADDING | _NO_TIES | _NO_DISTANCES | _NO_RANKING,
}
"""Patterns that the source has once, and what takes their place. Without ranking all centers get rows in turn."""

FORMS = {"sums": SUMS, "sums, labels, distances": Wanted(sums=True, second=True)}


def patched(changes: Mapping[str, str]) -> str:
    """The source with parts replaced, each of which must be in it once."""
    text = lloyd_kernel.source()
    for pattern, new in changes.items():
        text, count = re.subn(pattern, new, text)
        if count != 1:
            raise ValueError(f"{pattern!r} is {count} times in the source, not once: the kernels have changed")
    return text


def watched(world: World, kernels: Watched, d: int, k: int, shape: Shape, wanted: Wanted = SUMS) -> dict[str, Any]:
    """Time of the bare launch, and how it is made."""
    again, made = kernels.again(world.rows(d), world.start(d, k), shape, wanted)
    return world.timed(again) | {"bytes": world.sizes.rows * (4 * d + 12 * wanted.second)} | made


def whole_shape(world: World, d: int, k: int) -> Shape:
    """The form in which the package runs a pass that gives sums."""
    shape, n_groups = world.form(world.rows(d), k, SUMS)
    if n_groups:
        raise RuntimeError("centers go part by part here")
    return shape


def size(world: World, d: int, k: int, warps: int, stages: int, gives: str) -> dict[str, Any]:
    """Blocks of one size."""
    wanted, most = FORMS[gives], int(world.cupy.cuda.Device().attributes["MaxSharedMemoryPerBlockOptin"])
    base = whole_shape(world, d, k)
    shapes = {
        (*one, form.second): replace(base, warps=one[0], stages=one[1], with_second=form.second)
        for form in FORMS.values()
        for one in world.sizes.blocks
    }
    fit = {which: shape for which, shape in shapes.items() if shape.assign_bytes(k, with_sums=True) <= most}
    shape = fit.get((warps, stages, wanted.second))
    if shape is None:
        return {"skipped": "does not fit into shared memory"}
    kernels = world.kept("sizes", lambda: Watched(world, lloyd_kernel.source()))
    if shape not in kernels._modules:
        world.compile_ahead((kernels, one, WHOLE) for one in fit.values())
    return watched(world, kernels, d, k, shape, wanted)


def _without(world: World, name: str) -> Watched:
    return Watched(world, patched(LEFT_OUT[name]))


def part(world: World, d: int, k: int, left_out: str) -> dict[str, Any]:
    """The kernel without a part, which gives wrong results that nobody looks at."""
    shape = whole_shape(world, d, k)
    names = LEFT_OUT if world.sizes.compilers else [left_out]
    made = {name: world.kept(name, partial(_without, world, name)) for name in names}
    if shape not in made[left_out]._modules:
        world.compile_ahead((kernels, shape, WHOLE) for kernels in made.values())
    return watched(world, made[left_out], d, k, shape)
