"""Slips that the tests of device kernels must notice, and small runs that are meant to notice them.

A check launches few instances, so that a mutant compiles fast: all mutants of a source are built
at once, each in a namespace of its own (``test_mutants.py``).
"""

from typing import NamedTuple

__all__ = ["MUTANTS", "Mutant"]

BARRIER = "__syncthreads();"
_OTHER_TREE = "s = __dadd_rn(s, __shfl_xor_sync(kFullWarp, s, 3,"


class Mutant(NamedTuple):
    """A change of one place of a source.

    Attributes
    ----------
    source : str
        File whose kernels run; the place may be in a file that it includes.
    check : str
        Name of the function of ``mutant_checks.py`` that has to fail.
    old, new : str
        The text, which occurs once, and what takes its place.
    """

    source: str
    check: str
    old: str
    new: str


def _mutants(source, check, *changes):
    return [Mutant(source, check, old, new) for old, new in changes]


def _without(*texts, part=BARRIER):
    """Changes that leave a part out of each text."""
    return [(text, text.replace(part, "")) for text in texts]


_SCREEN = "pairwise_argmin.cuh"
_ARGMIN = [
    *_mutants(
        _SCREEN,
        "screen_of_tiles",
        ("second = larger(second, smaller(first, score));", "second = smaller(first, score);"),
        ("index = score > first ?", "index = score >= first ?"),
        ("first = larger(first, score);", "first = score;"),
        ("int apart = lanes / 2;", "int apart = lanes / 4;"),
        ("f == first && a < index", "f == first && a > index"),
        ("second = larger(larger(second, s), smaller(first, f));", "second = larger(second, s);"),
        ("if (column < columns) {", "if (column <= columns) {"),
        ("speaks_for_row<G>() && row < n", "speaks_for_row<G>() && row <= n"),
        ("labels[row] = scores.rows[i].index;", "labels[row] = scores.rows[0].index;"),
        ("% TX + j * TX;", "% TX + j * TN;"),
        ("f < depth; f += lanes", "f + lanes < depth; f += lanes"),
        ("(held[e][w] - shift[w])", "(held[e][w] + shift[w])"),
        *_without(
            "y.store(ys, Y, feature);\n    __syncthreads();",
            "G::BK, acc);\n    __syncthreads();",
        ),
    ),
    *_mutants(
        _SCREEN,
        "screen_of_tensor_cores",
        ("multiply_fragments(c0, c1, c2, c3, small_a[s][i], big_b[s]);", ""),
        ("multiply_fragments(c0, c1, c2, c3, big_a[s][i], small_b[s]);", ""),
        ("s * 8 + place() + e * 4]", "s * 8 + place() * 2 + e]"),
        ("+ i / 2 * 16 + i % 2 * 8", "+ i / 2 * 8 + i % 2 * 16"),
        ("[f] - shift) * scale", "[f] + shift) * scale"),
        ("e * apart < left;", "e * apart < left - 1;"),
        ("next_feature >= X.features)", "next_feature > X.features)"),
        ("int stage = 0, free_stage = stages - 1;", "int stage = 0, free_stage = 0;"),
        ("stage + 1 == stages ? 0", "stage + 2 == stages ? 0"),
        ("there = X.shift && f < X.features", "there = f < 0"),
        *_without("await_copies<stages - 2>();\n        __syncthreads();"),
    ),
    *_mutants(
        _SCREEN,
        "screen_of_products",
        ("column < m; column += 32", "column < m; column += 31"),
        ("products[row * m + column]", "products[row * m + lane]"),
        ("lane == 0 && row < count", "lane == 0 && row <= count"),
        ("best[start + row]", "best[row]"),
        ("combine<32>", "combine<16>"),
    ),
]

_ROWS = [
    *_mutants(
        "rows.cuh",
        "statistics",
        ("for (int apart = 16;", "for (int apart = 8;"),
        ("w = 1; w < warps", "w = 1; w < warps - 1"),
        ("row < n && row_lane() == 0) norms", "row <= n && row_lane() == 0) norms"),
        ("other < lane) ? 1", "other <= lane) ? 1"),
        ("rank == count / 2", "rank == (count - 1) / 2"),
        ("m * lane / count * d + f", "m / count * lane * d + f"),
        ("half = -0.5 *", "half = 0.5 *"),
        ("infinity<T>();\n        moved", "raw;\n        moved"),
        ("listed[first + i] : first + i", "listed[first + i] : i"),
        ("wide * exact_scale * over", "wide * over"),
        ("larger(inverse, over)", "over"),
        *_without(
            "__syncthreads();  // the previous call",
            "= value;\n  __syncthreads();\n  if (threadIdx.x == 0) {\n    for (int w",
        ),
    ),
]

_EXACT = "exact_rows.cuh"
_EXACT_ROWS = [
    *_mutants(
        _EXACT,
        "doubts",
        ("!(lead > 2.0 *", "!(lead >= 2.0 *"),
        ("near = 2.0 * (x + distance) + slack", "near = 2.0 * (x + distance)"),
        ("near = 2.0 * (x + distance)", "near = 2.0 * distance"),
        ("x * x - 2.0 * score", "x * x - score"),
        ("near < longest ? near : longest", "longest"),
        ("!(unit < kSmallUnit) || ", ""),
        ("if (half == 0.0 || ", "if ("),
        (" || !is_finite(widest)) return", ") return"),
        ("open = !(lead > 2.0 * bound.template of_row<T>(x_norms[row], tops[0], first))",
         "open = lead <= 2.0 * bound.template of_row<T>(x_norms[row], tops[0], first)"),
        ("lead > 2.0 * bound", "lead > bound"),
        ("half * y * y", "half * y"),
        ("square * (x + y) * (x + y)", "square * (x + y)"),
        ("(1.0 + x + y)", "(1.0 + x)"),
        ("vanish_quotient * tops[1]", "vanish_quotient * tops[0]"),
        ("y = y_norm + missing", "y = y_norm"),
        ("reach < limit && ", ""),
        ("x < limit && ", ""),
        ("__popc(mask & ((1u << lane) - 1u))", "__popc(mask & ((2u << lane) - 1u))"),
        ("start = __shfl_sync(kFullWarp, start, 0);", ""),
    ),
    *_mutants(
        _EXACT,
        "rows_in_doubt",
        ("apart >= kLanes", "apart > kLanes"),
        ("w = 1; w < warps; ++w)\n      if", "w = 1; w < warps - 1; ++w)\n      if"),
        ("part * blockIdx.y;", "part * blockIdx.x;"),
        ("* gridDim.y + blockIdx.y", "* gridDim.y + blockIdx.x"),
        ("column0 += kRowsAtOnce", "column0 += 2 * kRowsAtOnce"),
        ("s < parts; ++s", "s < parts - 1; ++s"),
        ("index < other_index", "index > other_index"),
        ("open && precedes(v", "precedes(v"),
        ("score += bias[column]", "score += bias[0]"),
        *_without("indices[threadIdx.x / 32] = index;\n  __syncthreads();"),
    ),
    *_mutants(
        _EXACT,
        "defined_values",
        ("sum = __dadd_rn(sum, term);", "sum = fused(difference, difference, sum);"),
        ("__dadd_rn(s, __shfl_xor_sync(kFullWarp, s, 4, kLanes));", "s;"),
        ("s = __dadd_rn(s, __shfl_xor_sync(kFullWarp, s, 2,", _OTHER_TREE),
        ("scaled_back(value, 2 * exponent)", "scaled_back(value, exponent)"),
        ("length > 0.0 ? -sum / length : 0.0", "-sum / length"),
        ("smaller(larger(distance, 0.0), 2.0)", "distance"),
        ("inside && row_lane() == 0)\n    distances", "row_lane() == 0)\n    distances"),
    ),
]  # fmt: skip

_TOPK = [
    *_mutants(
        "pairwise_topk.cuh",
        "nearest_few",
        ("rest > counts[bin]", "rest >= counts[bin]"),
        ("above < wanted &&", "above <= wanted &&"),
        ("wanted <= above + own", "wanted < above + own"),
        ("lane >= apart", "lane > apart"),
        ("apart < 32; apart *= 2", "apart < 16; apart *= 2"),
        ("b & 0x80000000u ? ~b : b | 0x80000000u", "b & 0x80000000u ? b : b | 0x80000000u"),
        ("if (bin != held) {", "if (bin > held) {"),
        ("(bits & mask) != prefix", "(bits & mask) < prefix"),
        ("int apart = length / 2;", "int apart = length / 4;"),
        ("(i & length) == 0", "(i & length) != 0"),
        ("2 * t - (t & (apart - 1))", "2 * t - (t & apart)"),
        ("kth - 2.0 *", "kth + 2.0 *"),
        ("found[0] <= kCandidates", "found[0] < kCandidates"),
        ("nearest[row * k + slot] = indices[slot];", "nearest[slot] = indices[slot];"),
        *_without(
            "apart /= 2) {\n      __syncthreads();",
            "counts[threadIdx.x] = 0;\n  __syncthreads();",
            "run);\n  __syncthreads();",
            "  __syncthreads();\n  wanted = left[0];",
            "  __syncthreads();\n  const bool fits",
            "  }\n  __syncthreads();\n}\n\n// Block i:",
        ),
    ),
    *_mutants(
        "pairwise_topk.cuh",
        "nearest_many",
        ("part * (blockIdx.y + 1)", "part * blockIdx.y + 1"),
        ("order[blockIdx.x * m + slot]", "order[blockIdx.x * k + slot]"),
        ("values[blockIdx.x * m + column] = value", "values[row * m + column] = value"),
    ),
]  # fmt: skip

MUTANTS = [*_ARGMIN, *_ROWS, *_EXACT_ROWS, *_TOPK]
