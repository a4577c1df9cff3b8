"""Vectors in LLVM's intermediate language, for kernels that need registers to be used as they say."""

from typing import Any

from llvmlite import ir
from numba.core import cgutils

_LINE_BYTES = 64

INT32, INT64 = ir.IntType(32), ir.IntType(64)


def integer(number: int) -> Any:
    """A constant int64."""
    return ir.Constant(INT64, number)


class Vectors:
    """Vectors of one type in memory: what the builder lacks for them.

    Parameters
    ----------
    builder : llvmlite IRBuilder
    element : llvmlite type
    n : int
        Elements of a vector.
    """

    def __init__(self, builder: Any, element: Any, n: int) -> None:
        self.builder, self.element, self.n = builder, element, n
        self.type = ir.VectorType(element, n)
        self.bytes = {ir.FloatType(): 4, INT32: 4}.get(element, 8)

    def of(self, number: float) -> Any:
        """A constant in all lanes."""
        return ir.Constant(self.type, [number] * self.n)

    def pointer(self, address: Any, at: Any) -> Any:
        """Pointer to an element behind an address."""
        return self.builder.gep(self.builder.inttoptr(address, self.element.as_pointer()), [at])

    def load(self, address: Any, at: Any) -> Any:
        """A vector from an element on, wherever it lies."""
        pointer = self.builder.bitcast(self.pointer(address, at), self.type.as_pointer())
        return self.builder.load(pointer, align=self.bytes)

    def store(self, vector: Any, address: Any, at: Any) -> None:
        """Write a vector from an element on."""
        pointer = self.builder.bitcast(self.pointer(address, at), self.type.as_pointer())
        self.builder.store(vector, pointer, align=self.bytes)

    def splat(self, scalar: Any) -> Any:
        """A scalar in all lanes."""
        nothing = ir.Constant(self.type, ir.Undefined)
        first = self.builder.insert_element(nothing, scalar, ir.Constant(INT32, 0))
        return self.builder.shuffle_vector(first, nothing, ir.Constant(ir.VectorType(INT32, self.n), [0] * self.n))

    def load_first(self, address: Any, at: Any, left: Any) -> Any:
        """The first `left` elements, zeros behind them; what is not asked for is not touched."""
        numbers = Vectors(self.builder, INT64, self.n)
        mask = self.builder.icmp_signed("<", ir.Constant(numbers.type, list(range(self.n))), numbers.splat(left))
        pointer = self.builder.bitcast(self.pointer(address, at), self.type.as_pointer())
        kind = f"v{self.n}f{8 * self.bytes}"
        arguments = [pointer, ir.Constant(INT32, self.bytes), mask, self.of(0.0)]
        return call(self.builder, f"llvm.masked.load.{kind}.p0{kind}", self.type, arguments)


def call(builder: Any, name: str, returned: Any, arguments: list[Any]) -> Any:
    """Call a function of LLVM's own; newer versions take the names with types of pointers too."""
    kind = ir.FunctionType(returned, [argument.type for argument in arguments])
    found = builder.module.globals.get(name) or ir.Function(builder.module, kind, name)
    return builder.call(found, arguments)


def span(builder: Any, start: Any, stop: Any, step: int) -> Any:
    """A loop, as a context whose first value is the number."""
    return cgutils.for_range_slice(builder, start, stop, integer(step), INT64)


def has_wide_registers(context: Any) -> bool:
    """Whether there are 32 registers of 64 bytes, not 16 of 32."""
    return "+avx512f" in context.codegen().magic_tuple()[2]


def rows_of(context: Any, builder: Any, signature: Any) -> tuple[Vectors, Vectors]:
    """Vectors of the rows' type, as long as a register, and of labels for as many rows."""
    element = signature.args[0].dtype
    n = (64 if has_wide_registers(context) else 32) * 8 // element.bitwidth
    return Vectors(builder, context.get_value_type(element), n), Vectors(builder, INT32, n)


def address_of(context: Any, builder: Any, kind: Any, array: Any) -> Any:
    """Address of an array's first element."""
    return builder.ptrtoint(context.make_array(kind)(context, builder, array).data, INT64)


def turned(vectors: Vectors, square: list[Any]) -> list[Any]:
    """The transpose of as many vectors as each has elements."""
    n = vectors.n
    low = [lane for i in range(n // 2) for lane in (i, n + i)]
    masks = [ir.Constant(ir.VectorType(INT32, n), [lane + up for lane in low]) for up in (0, n // 2)]
    # Each round turns the bits of (row, column) by one place: half of all rounds swap the two.
    for _ in range(n.bit_length() - 1):
        square = [vectors.builder.shuffle_vector(square[i // 2], square[(i + n) // 2], masks[i % 2]) for i in range(n)]
    return square


def prefetch(builder: Any, address: Any, n_bytes: Any) -> None:
    """Ask for memory that is needed soon: processors do not foresee the strides of a transpose."""
    byte = ir.IntType(8).as_pointer()
    with span(builder, integer(0), n_bytes, _LINE_BYTES) as (at, _):
        pointer = builder.inttoptr(builder.add(address, at), byte)
        hints = [ir.Constant(INT32, hint) for hint in (0, 3, 1)]
        call(builder, "llvm.prefetch.p0i8", ir.VoidType(), [pointer, *hints])
