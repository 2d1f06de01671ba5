"""Slips in the device kernels that work on classes of rows: sums, moments and posteriors."""

from tests.cuda.mutants import Mutant

__all__ = ["CLASS_MUTANTS"]


def _mutants(source, check, *changes):
    return [Mutant(source, check, old, new) for old, new in changes]


def _without_barrier(*texts):
    return [(text, text.replace("__syncthreads();", "")) for text in texts]


CLASS_MUTANTS = [
    *_mutants(
        "sorted_rows.cuh",
        "starts_of_labels",
        ("if (label >= 0 && label < k) atomicAdd", "if (label > 0 && label < k) atomicAdd"),
        ("begin + threadIdx.x; i < end", "begin + threadIdx.x; i < end - 1"),
        ("k + label] = place;", "k + label] = place + count[q];"),
        ("p < part ? sums", "p <= part ? sums"),
        ("totals[label] = place + sum;", "totals[label] = place;"),
        ("(units + kScanParts - 1) / kScanParts", "units / kScanParts"),
        ("if (label >= k) atomicMax(beyond, label);", "atomicMax(beyond, label);"),
        ("(k + kSortThreads - 1) / kSortThreads", "k / kSortThreads"),
        ("t >= apart ?", "t > apart ?"),
        ("apart < kSortThreads;", "apart < kSortThreads / 2;"),
        ("int place = sums[t] - sum;", "int place = sums[t];"),
        ("starts[k] = sums[t]", "starts[k] = sum"),
        *_without_barrier(
            "sums[part][lane] = sum;\n  __syncthreads();",
            "sums[t] = sum;\n  __syncthreads();",
            "sums[t - apart] : 0;\n    __syncthreads();",
            "sums[t] += before;\n    __syncthreads();",
        ),
    ),
    # Slips before this would write anywhere here.
    *_mutants(
        "sorted_rows.cuh",
        "rows_by_label",
        ("j < t && seen[j] == label", "j <= t && seen[j] == label"),
        ("j < first_of_warp; ++j", "j < first_of_warp - 1; ++j"),
        ("place[label] + earlier]", "place[label]]"),
        ("row < end ? labels[row] : -1", "row < end ? labels[row] : 0"),
        *_without_barrier(
            "seen[t] = label;\n    __syncthreads();",
            "static_cast<int>(row);\n    __syncthreads();",
        ),
    ),
    *_mutants(
        "centers.cuh",
        "sums_of_clusters",
        ("if (index % 2 == 1) {", "if (index % 2 == 0) {"),
        ("value = __dadd_rn(left[level], value);", "value = left[level];"),
        ("filled &= ~bit;", ""),
        ("next < (index + 2) << level", "next < (index + 1) << level"),
        ("next < (index + 2) << level", "next < (index + 3) << level"),
        ("group / panels % k", "group % k"),
        ("group / panels / k", "group / k"),
        ("places[(first_unit - 1) * k + label]", "places[first_unit * k + label]"),
        ("places[(last_unit - 1) * k + label];", "places[(last_unit - 1) * k];"),
        ("if (at + q < end) {", "if (at + q <= end) {"),
        ("at + q < end ? at + q : end - 1", "at + q < end ? at : end - 1"),
        ("__dmul_rn(w[q], static_cast<double>(x[q]))", "static_cast<double>(x[q])"),
        (
            "__dadd_rn(sum, __dmul_rn(w[q], static_cast<double>(x[q])))",
            "fma(w[q], static_cast<double>(x[q]), sum)",
        ),
        ("nodes.add(sum, leaf, next);", ""),
        ("if (next != leaf) {", "if (next > leaf + 1) {"),
        ("next < count ? next : kNoLeaf", "next"),
        ("if (next <= count) root", "if (next < count) root"),
        ("span < spans && feature < d", "span < spans && feature <= d"),
        ("if (i < size) sums", "if (i < size - 1) sums"),
    ),
    *_mutants(
        "moments.cuh",
        "moments_of_classes",
        ("i / 2 * 32 + 2 * thread + i % 2", "i / 2 * 32 + thread + i % 2"),
        ("first + r < end && first_column", "first + r <= end && first_column"),
        ("(x - mean[first_column + c])", "x"),
        ("root_weight[row] : 1.0", "1.0 : 1.0"),
        ("column -= ++line;", "column -= line++;"),
        ("= diagonal ? left : right;", "= left;"),
        ("root_weight[rows[first + r]] : 1.0", "1.0 : 1.0"),
        ("total[i][j] += acc[i][j];", "total[i][j] = acc[i][j];"),
        ("          acc[i][j] = 0;\n", ""),
        ("sums += sum;", "sums = sum;"),
        ("if (a < d && b < d)", "if (a <= d && b < d)"),
        ("a0 + own < d)", "a0 + own <= d)"),
        ("+ first * size + at, last", "+ at, last"),
        ("__dsub_rn(sum, __dmul_rn", "__dadd_rn(sum, __dmul_rn"),
        ("if (weight > 0) sum", "if (weight < 0) sum"),
        ("scatters[label * square + b * d + a] = sum;", ""),
        ("label < k && a >= b", "label < k && a > b"),
        ("if (i < k * d) {", "if (i < k * d - 1) {"),
        *_without_barrier(
            "mean, b0, right);\n    __syncthreads();", "sum = 0;\n    }\n    __syncthreads();"
        ),
    ),
    *_mutants(
        "softmax.cuh",
        "posteriors",
        ("column = z > most ? at", "column = z >= most ? at"),
        ("z < infinity<T>() ? 0 : 1", "z == infinity<T>() ? 1 : 0"),
        ("spoiled |= other_spoiled;", ""),
        ("other == most && other_column < column", "other == most && other_column > column"),
        ("lanes / 2; apart > 0; apart /= 2)\n      merge", "lanes / 4; apart > 0; apart /= 2)\n      merge"),
        ("lanes / 2; apart > 0; apart /= 2) x", "lanes / 4; apart > 0; apart /= 2) x"),
        ("spoiled == 0 && most > -infinity<T>()", "spoiled == 0"),
        ("row[j] + log_weight[j]", "row[j]"),
        ("total += static_cast<double>(sum);\n      sum = 0;", "sum = 0;"),
        ("static_cast<T>(1 / total)", "static_cast<T>(total)"),
        ("row.spoiled ? infinity<T>() - infinity<T>() : -infinity<T>()", "-infinity<T>()"),
        ("= z[q] * scale;", "= z[q];"),
        ("fine ? out[j] * scale : scale;", "out[j];"),
        ("lane + q * lanes < k)", "lane + q * lanes < k - 1)"),
        ("if (inside) scale_terms", "if (i + 1 < n) scale_terms"),
        ("most[warp] = top.most;", "most[0] = top.most;"),
        ("total += sums[w];", "total = sums[w];"),
        *_without_barrier(
            "spoiled[warp] = top.spoiled;\n  }\n  __syncthreads();",
            "sums[warp] = total;\n  __syncthreads();",
        ),
    ),
]  # fmt: skip
