"""Numeric operations as graph nodes, each with its exact vector-Jacobian product. Factories of `Function`; they ask
nothing and know no method.

    Graph(…, nodes=[matmul("y", "weights", "x"), add("answer", "y", "bias")], …)

Operands are numbers or arrays of any shape, and broadcast as numpy's do. A backward takes the operands, the output and
the gradient g of the output, and gives Jᵀg for each slot (formulas: Giles, "An extended collection of matrix derivative
results", 2008; ties and shapes as HIPS autograd). A result that is not finite is bad content: the example counts as
wrong, and has no derivative.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from semprop.engine.arrays import Floats
from semprop.engine.errors import ContentError
from semprop.engine.gradients import Gradient, total
from semprop.engine.nodes import Function
from semprop.engine.parameters import Kind

Operands = Mapping[str, Floats]
Forward = Callable[..., Any]
Products = Callable[[Operands, Floats, Floats], Mapping[str, Any]]
"""(operands, output, g) → slot → Jᵀg, of the operand's shape or one that broadcasts to it."""


@dataclass(frozen=True, slots=True)
class Numerically:
    """The call of a primitive: 64-bit floats in and out."""

    name: str
    work: Forward

    def __call__(self, **operands: Any) -> Any:
        held = {slot: np.asarray(value, dtype=np.float64) for slot, value in operands.items()}
        with np.errstate(all="ignore"):
            result = np.asarray(self.work(**held))
        if not np.all(np.isfinite(result)):
            raise ContentError(f"the result of {self.name} is not finite")
        return plain(result)


@dataclass(frozen=True, slots=True)
class VectorJacobian:
    """The backward of a primitive: a gradient that is a derivative → the derivatives for its slots."""

    products: Products

    def __call__(self, inputs: Mapping[str, Any], output: Any, gradient: Gradient) -> Mapping[str, Any]:
        operands = {slot: np.asarray(value, dtype=np.float64) for slot, value in inputs.items()}
        with np.errstate(all="ignore"):
            found = self.products(operands, np.asarray(output, dtype=np.float64), np.asarray(total(gradient)))
        return {slot: plain(fitted(np.asarray(each), operands[slot].shape)) for slot, each in found.items()}


def plain(value: Floats) -> Any:
    """An array as it is, one of no dimension as a float."""
    return value if value.ndim else value.item()


def fitted(derivative: Floats, shape: tuple[int, ...]) -> Floats:
    """A derivative summed over the axes along which its operand was broadcast."""
    extra = derivative.ndim - len(shape)
    if extra > 0:
        derivative = derivative.sum(axis=tuple(range(extra)))
    stretched = tuple(axis for axis, size in enumerate(shape) if size == 1 and derivative.shape[axis] != 1)
    if stretched:
        derivative = derivative.sum(axis=stretched, keepdims=True)
    return np.broadcast_to(derivative, shape)


def _node(name: str, inputs: Mapping[str, str], work: Forward, products: Products, what: str) -> Function:
    call, backward = Numerically(what, work), VectorJacobian(products)
    return Function(name, call, inputs, kind=Kind.ARRAY, pure=True, backward=backward)


def add(name: str, left: str, right: str) -> Function:
    """left + right."""
    return _node(
        name,
        {"left": left, "right": right},
        lambda left, right: left + right,
        lambda at, out, g: {"left": g, "right": g},
        "add",
    )


def subtract(name: str, left: str, right: str) -> Function:
    """left − right."""
    return _node(
        name,
        {"left": left, "right": right},
        lambda left, right: left - right,
        lambda at, out, g: {"left": g, "right": -g},
        "subtract",
    )


def multiply(name: str, left: str, right: str) -> Function:
    """left · right, element by element."""
    return _node(
        name,
        {"left": left, "right": right},
        lambda left, right: left * right,
        lambda at, out, g: {"left": g * at["right"], "right": g * at["left"]},
        "multiply",
    )


def divide(name: str, left: str, right: str) -> Function:
    """left / right, element by element."""
    return _node(
        name,
        {"left": left, "right": right},
        lambda left, right: left / right,
        lambda at, out, g: {"left": g / at["right"], "right": -g * out / at["right"]},
        "divide",
    )


def power(name: str, base: str, exponent: str) -> Function:
    """base to the exponent. The derivative for the exponent is 0 where the base is 0; it is no number where the base
    is negative, so an exponent that is trained needs a positive base."""
    return _node(
        name, {"base": base, "exponent": exponent}, lambda base, exponent: base**exponent, _power_products, "power"
    )


def _power_products(at: Operands, out: Floats, g: Floats) -> Mapping[str, Any]:
    base, exponent = at["base"], at["exponent"]
    below = np.where(exponent == 0, 0.0, exponent * base ** np.where(exponent == 0, 1.0, exponent - 1.0))
    return {"base": g * below, "exponent": g * out * np.log(np.where(base == 0, 1.0, base))}


def maximum(name: str, left: str, right: str) -> Function:
    """The larger of both, element by element. Where they are equal each gets half of the gradient."""
    return _node(
        name, {"left": left, "right": right}, lambda left, right: np.maximum(left, right), _maximum_products, "maximum"
    )


def _maximum_products(at: Operands, out: Floats, g: Floats) -> Mapping[str, Any]:
    left, right = at["left"], at["right"]
    share = np.where(left == right, 0.5, np.where(left > right, 1.0, 0.0))
    return {"left": g * share, "right": g * (1.0 - share)}


def negative(name: str, operand: str) -> Function:
    """−operand."""
    return _elementwise(name, operand, np.negative, lambda x, out: np.full(x.shape, -1.0), "negative")


def sin(name: str, operand: str) -> Function:
    """The sine, of radians."""
    return _elementwise(name, operand, np.sin, lambda x, out: np.cos(x), "sin")


def cos(name: str, operand: str) -> Function:
    """The cosine, of radians."""
    return _elementwise(name, operand, np.cos, lambda x, out: -np.sin(x), "cos")


def exp(name: str, operand: str) -> Function:
    """e to the operand."""
    return _elementwise(name, operand, np.exp, lambda x, out: out, "exp")


def log(name: str, operand: str) -> Function:
    """The natural logarithm, of positive numbers."""
    return _elementwise(name, operand, np.log, lambda x, out: 1.0 / x, "log")


def tanh(name: str, operand: str) -> Function:
    """The hyperbolic tangent."""
    return _elementwise(name, operand, np.tanh, lambda x, out: 1.0 - out * out, "tanh")


def _elementwise(name: str, operand: str, work: Forward, slope: Callable[[Floats, Floats], Any], what: str) -> Function:
    """A function of each number on its own; `slope` is its derivative, from the operand and the output."""
    return _node(
        name,
        {"operand": operand},
        lambda operand: work(operand),
        lambda at, out, g: {"operand": g * slope(at["operand"], out)},
        what,
    )


def matmul(name: str, left: str, right: str) -> Function:
    """The matrix product left @ right: of vectors, matrices, or stacks of matrices."""
    return _node(name, {"left": left, "right": right}, lambda left, right: left @ right, _matmul_products, "matmul")


def _matmul_products(at: Operands, out: Floats, g: Floats) -> Mapping[str, Any]:
    left, right = at["left"], at["right"]
    # A vector takes part as a matrix of one row or one column, whose axis the product then lacks.
    rows = left[np.newaxis, :] if left.ndim == 1 else left
    columns = right[:, np.newaxis] if right.ndim == 1 else right
    whole = g[..., np.newaxis] if right.ndim == 1 else g
    whole = whole[..., np.newaxis, :] if left.ndim == 1 else whole
    for_left = fitted(whole @ np.swapaxes(columns, -1, -2), rows.shape)
    for_right = fitted(np.swapaxes(rows, -1, -2) @ whole, columns.shape)
    return {"left": for_left.reshape(left.shape), "right": for_right.reshape(right.shape)}


def transpose(name: str, operand: str) -> Function:
    """All axes in the opposite order."""
    return _node(
        name, {"operand": operand}, lambda operand: operand.T, lambda at, out, g: {"operand": g.T}, "transpose"
    )


def sum_of(name: str, operand: str, *, axis: int | None = None) -> Function:
    """The sum over one axis, or over all numbers."""
    return _reduced(name, operand, axis, np.sum, lambda size: 1.0, "sum")


def mean_of(name: str, operand: str, *, axis: int | None = None) -> Function:
    """The mean over one axis, or over all numbers."""
    return _reduced(name, operand, axis, np.mean, lambda size: 1.0 / size, "mean")


def _reduced(
    name: str, operand: str, axis: int | None, work: Forward, share: Callable[[int], float], what: str
) -> Function:
    def products(at: Operands, out: Floats, g: Floats) -> Mapping[str, Any]:
        x = at["operand"]
        spread = g if axis is None else np.expand_dims(g, axis)
        part = share(x.size if axis is None else x.shape[axis])
        return {"operand": np.broadcast_to(spread * part, x.shape)}

    return _node(name, {"operand": operand}, lambda operand: work(operand, axis=axis), products, what)
