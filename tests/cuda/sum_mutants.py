"""Slips in the device kernels that sum or count over all pairs, and in those of transport."""

from tests.cuda.mutants import Mutant

__all__ = ["SUM_MUTANTS"]


def _mutants(source, check, *changes):
    return [Mutant(source, check, old, new) for old, new in changes]


def _without_barrier(*texts):
    return [(text, text.replace("__syncthreads();", "")) for text in texts]


_PAIRS = [
    *_mutants(
        "pairwise_distances.cuh",
        "distances",
        ("product, base_i + offset_j)", "product, base_i)"),
        ("rooted ? root(clipped) : clipped", "clipped"),
        ("? values[first + r]", "? values[r]"),
        ("/ across * G::BM;", "% across * G::BM;"),
        ("if (c < width) {", "if (c <= width) {"),
        ("if (r < height)", "if (r <= height)"),
        ("offset[column0 + c]", "offset[c]"),
        ("* unscale * unscale_again", "* unscale"),
    ),
    *_mutants(
        "pairwise_logsumexp.cuh",
        "log_sums",
        ("== (mask == 1)", "== (mask == 2)"),
        ("c < width ? exponent.weight", "c <= width ? exponent.weight"),
        ("kept >> (i * G::TN + j) & 1u", "kept >> (j * G::TM + i) & 1u"),
        ("sum[i] * exponential(before - against) : sum[i]", "sum[i] : sum[i]"),
        (
            "for (int j = 0; j < G::TN; ++j) top = larger",
            "for (int j = 1; j < G::TN; ++j) top = larger",
        ),
        ("int apart = G::TX / 2;", "int apart = G::TX / 4;"),
        ("+ rescaled(s, h, joint)", "+ s"),
        ("first = which * part,", "first = 0 * part,"),
        ("/ parts * G::BM", "% parts * G::BM"),
        ("sum[which * n + row] = logs.sum[i]", "sum[row] = logs.sum[i]"),
        ("logarithm(total) + against", "logarithm(total)"),
        ("? sum[p * n + row]\n", "? sum[row]\n"),
        ("fill_rows(sums, lse, row0, n)", "fill_rows(sums, lse, 0, n)"),
        ("!exponent.allows(row0 + r", "exponent.allows(row0 + r"),
        ("corner[r * m + c] = exponential(e", "corner[c * m + r] = exponential(e"),
    ),
    *_mutants(
        "pairwise_threshold.cuh",
        "counts",
        ("<= limit;", "< limit;"),
        ("inside && row_lane() == 0 &&\n", "inside &&\n"),
        ("part * blockIdx.y; column0", "part * blockIdx.x; column0"),
        ("part * (blockIdx.y + 1)", "part * blockIdx.y + 1"),
        ("for (int w = 0; w < warps; ++w) sum", "for (int w = 1; w < warps; ++w) sum"),
        ("counts + row, sum", "counts, sum"),
        *_without_barrier("= within;\n  __syncthreads();"),
    ),
]

_TRANSPORT = [
    *_mutants(
        "sinkhorn.cuh",
        "sweeps",
        ("here && c < m) e[q]", "here && c <= m) e[q]"),
        ("top = larger(top, e[q]);", "top = e[q];"),
        ("exponential((e[q] - top) * slope)", "exponential(e[q] * slope)"),
        ("k < kLeafRows; k += teams", "k < kLeafRows; k += 2 * teams"),
        ("factor = weight[at] / total;", "factor = weight[at];"),
        ("for (int i = 1; i < teams; ++i) sum +=", "for (int i = 2; i < teams; ++i) sum +="),
        ("columns[i * span + lane]", "columns[i * teams + lane]"),
        ("total *= static_cast<double>(exponential((top - most) * slope));", ""),
        ("team_sum(total * static_cast<double>(exponential((top - most) * slope)),",
         "team_sum(total,"),
        ("side = task % sides;", "side = task / sides;"),
        ("if (squares) square += static_cast<T>(row_weight[row]) * p * p;",
         "if (squares) square += static_cast<T>(row_weight[row]) * p;"),
        ("int apart = span < 32 ? span / 2 : 16; apart > 0; apart /= 2)\n    value = larger",
         "int apart = span < 32 ? span / 4 : 8; apart > 0; apart /= 2)\n    value = larger"),
        ("int apart = span < 32 ? span / 2 : 16; apart > 0; apart /= 2)\n    value +=",
         "int apart = span < 32 ? span / 4 : 8; apart > 0; apart /= 2)\n    value +="),
        ("rule.tau * (rule.epsilon * (log_a - log(sum)) - top)",
         "rule.tau * (rule.epsilon * (log_a - log(sum)))"),
        ("f = smaller(free, rule.f_max);", "f = free;"),
        ("exponential_of_gap > T(0) ? exponential_of_gap * factor : T(0)",
         "exponential_of_gap * factor"),
        *_without_barrier(
            "columns[threadIdx.x] = acc[q];\n      __syncthreads();",
            "if (q * span < m) {\n      __syncthreads();",
        ),
    ),
    *_mutants(
        "sinkhorn_columns.cuh",
        "iterations",
        ("sum * exp(top - exponent) + count", "sum + count"),
        ("row = begin + warp; row < end", "row = begin + warp + 1; row < end"),
        ("for (int i = 1; i < kSweepWarps; ++i) total.add", "for (int i = 2; i < kSweepWarps; ++i) total.add"),
        ("tops[chunk * sides * m + at]", "tops[at]"),
        ("is_row ? block : block - row_blocks", "is_row ? block : block"),
        ("log_weight[i] - x[i] / rho", "log_weight[i] - x[i]"),
        ("rows.value() - columns.value()", "columns.value() - rows.value()"),
        ("if (tau == 1.0) return exp(log_weight) * x;", ""),
        ("magnitude(sum - exp(log_b))", "sum - exp(log_b)"),
        ("f[at] += shift;", ""),
        ("g[at] -= shift;", ""),
        ("tau_b * (g[at] + epsilon", "tau_b * (epsilon"),
        ("mass += sum;", "mass += 1.0;"),
        ("out[1] = sums[0] - epsilon * sums[1];", "out[1] = sums[0] + epsilon * sums[1];"),
        ("value += relaxation *", "value += 1.0 *"),
        *_without_barrier("warp_sums[threadIdx.x] = total.sum;\n  __syncthreads();"),
    ),
    *_mutants(
        "sinkhorn_batch.cuh",
        "batches",
        ("/ epsilon + log(sum);", "/ epsilon - log(sum);"),
        ("const T gap = static_cast<T>(x[i]) - C", "const T gap = static_cast<T>(x[i]) + C"),
        ("f[i] += shift;", "f[i] += 0.0;"),
        ("g[j] -= shift;", ""),
        ("? tau_a * epsilon *", "? epsilon *"),
        ("tau_b * (g[j] + epsilon", "tau_b * (epsilon"),
        ("log_sum(C + j, q, f", "log_sum(C + j, p, f"),
        ("error = batch_sum(moved, slots);", "error = moved;"),
        ("n_iter[problem] = done;", "n_iter[problem] = done - 1;"),
        ("C += problem * p * q;", "C += problem * p * p;"),
        ("(mass_a - mass_b)", "(mass_b - mass_a)"),
        ("if (!(tol > 0.0 && error <= tol)) {", "if (true) {"),
        *_without_barrier(
            "log_a[i];\n    }\n    __syncthreads();",
            "    }\n    __syncthreads();\n  }\n  if (threadIdx.x == 0) {\n    n_iter",
        ),
    ),
    *_mutants(
        "sinkhorn_scaling.cuh",
        "scalings",
        ("c = threadIdx.x; c < m; c +=", "c = threadIdx.x; c < m - 1; c +="),
        ("w / total : w * total", "w * total : w * total"),
        ("result = limit * limit;", "result = limit;"),
        ("limit > 0.0 && !(w > 0.0) ? 0.0 : result", "result"),
        ("leaf = blockIdx.x / panels, row0", "leaf = 0, row0"),
        ("if (row0 + k < n)", "if (k < n)"),
        ("scaled[row0 + k], sum)", "scaled[k], sum)"),
        ("slots[warp / warps * warps + i];\n  }\n  return value;\n}\n\n}",
         "slots[warp / warps * warps];\n  }\n  return value;\n}\n\n}"),
    ),
    *_mutants(
        "sinkhorn_sums.cuh",
        "merged_leaves",
        ("leaf < count ? leaves", "leaf < count - 1 ? leaves"),
        ("apart < Fan; apart *= 2", "apart < Fan / 2; apart *= 2"),
        ("i += 2 * apart) value[i] += value[i + apart]", "i += 2 * apart) value[i] += value[i]"),
        ("leaves[leaf * width + number]", "leaves[leaf * width]"),
    ),
    *_mutants(
        "sinkhorn_inspect.cuh",
        "inspections",
        ("!(value < infinity<T>())", "value >= infinity<T>()"),
        ("(more && !(more[i] < infinity<T>()))", "false"),
        ("if (potential && counts)", "if (potential)"),
        ("is_bad = is_bad || !is_finite(potential[i])", "is_bad = !is_finite(potential[i])"),
        ("is_some = is_some || counts", "is_some = counts"),
        ("const int side = blockIdx.x / blocks,", "const int side = 0,"),
        ("is_row ? block : block - row_blocks", "block"),
        ("(is_row ? 0 : sides) + side", "side"),
        ("report + 2 * sides, 1u", "report + sides, 1u"),
        ("threadIdx.x % 32 == 0", "threadIdx.x == 0"),
    ),
]  # fmt: skip

SUM_MUTANTS = [*_PAIRS, *_TRANSPORT]
