"""Compiled loops of the Sinkhorn kernels: a few rows of the cost, the columns, small problems.

Rows arrive packed in C order in the type that is calculated in. Everything is in units of the
cost until the exponent is formed: g_j - C_ij less the row's maximum, times 1 / epsilon, can
neither overflow nor become NaN for any epsilon.
"""

import math

import numpy as np
from numba import types
from numba.extending import intrinsic, overload

from clusterlib.kernels._numba.compiling import compiled

__all__ = [
    "add_columns",
    "add_exact_columns",
    "column_step",
    "dual_value",
    "exponentials",
    "iterate_problems",
    "log_sums",
    "multiply_rows",
    "row_factors",
    "sum_of",
]

# Partial sums of a row, one for each column modulo _LANES: they let loops vectorise although the
# order of a sum is kept. They are added up after _STRIP columns, so each has few terms.
_LANES = 64
_STRIP = 4096
_TRUSTED = 600.0  # |log s| of a sum that has lost nothing to the range of float64
_BLOCK_ROWS = 64


@intrinsic
def _power_of_two(typingctx, rounded):
    """2^n from n + 3 2^(p - 2), whose last bits are n; p is the precision, 24 or 53 bits."""
    bits, bias = (23, 127) if rounded is types.float32 else (52, 1023)
    integer = types.int32 if rounded is types.float32 else types.int64

    def generate(context, builder, signature, arguments):
        word = context.get_value_type(integer)
        n = builder.bitcast(arguments[0], word)
        exponent = builder.add(builder.shl(n, word(bits)), word(bias << bits))
        return builder.bitcast(exponent, context.get_value_type(rounded))

    return rounded(rounded), generate


def _exp2(z):
    """2^z for z <= 0, which compiled code gets from the overload below."""
    raise NotImplementedError


@overload(_exp2)
def _exp2_by_series(z):
    """Taylor's series of 2^(z - n), |z - n| <= 1/2, times 2^n; 0 below the normal range and for NaN.

    math.exp would not be vectorised. The terms left out are below 5e-9 of the sum in float32
    (degree 7) and 4e-18 in float64 (degree 13).
    """
    number = np.float32 if z is types.float32 else np.float64
    magic = number(1.5 * 2.0 ** (23 if z is types.float32 else 52))
    lowest = number(-127.0 if z is types.float32 else -1023.0)  # where 2^n is made 0
    t = [number(math.log(2.0) ** k / math.factorial(k)) for k in range(14)]
    t0, t1, t2, t3, t4, t5, t6, t7, t8, t9, t10, t11, t12, t13 = t

    def low_degree(z):
        z = max(lowest, z)
        rounded = z + magic
        r = z - (rounded - magic)
        p = (((t7 * r + t6) * r + t5) * r + t4) * r + t3
        return (((p * r + t2) * r + t1) * r + t0) * _power_of_two(rounded)

    def high_degree(z):
        z = max(lowest, z)
        rounded = z + magic
        r = z - (rounded - magic)
        p = (((t13 * r + t12) * r + t11) * r + t10) * r + t9
        p = ((((p * r + t8) * r + t7) * r + t6) * r + t5) * r + t4
        return ((((p * r + t3) * r + t2) * r + t1) * r + t0) * _power_of_two(rounded)

    return low_degree if z is types.float32 else high_degree


@compiled
def _largest_gap(cost, g, gap, best):
    """gap_j = g_j - cost_j; return the largest."""
    best[:] = -np.inf
    for start in range(0, cost.shape[0], _LANES):
        width = min(_LANES, cost.shape[0] - start)
        c, h, d = cost[start : start + width], g[start : start + width], gap[start : start + width]
        for j in range(width):
            difference = h[j] - c[j]
            d[j] = difference
            best[j] = max(best[j], difference)
    largest = best[0]
    for lane in range(1, _LANES):
        largest = max(largest, best[lane])
    return largest


@compiled
def _exponentials_of_row(e, highest, slope, lanes):
    """e_j = 2^(slope (e_j - highest)) in place; return the sum."""
    total = 0.0
    for first in range(0, e.shape[0], _STRIP):
        lanes[:] = 0.0
        end = min(first + _STRIP, e.shape[0])
        for start in range(first, end, _LANES):
            width = min(_LANES, end - start)
            x = e[start : start + width]
            for j in range(width):
                value = _exp2((x[j] - highest) * slope)
                x[j] = value
                lanes[j] += value
        for lane in range(_LANES):
            total += lanes[lane]
    return total


@compiled
def exponentials(cost, g, slope, e, highest, total):
    """e_ij = exp((g_j - C_ij - highest_i) / epsilon), highest_i the largest, total_i their sum.

    ``slope`` is log2(e) / epsilon, or the largest number of the type if that is less.
    """
    lanes = np.empty(_LANES, dtype=e.dtype)
    for i in range(cost.shape[0]):
        largest = _largest_gap(cost[i], g, e[i], lanes)
        highest[i] = largest
        total[i] = _exponentials_of_row(e[i], largest, slope, lanes)


@compiled
def row_factors(epsilon, log_a, f, tau_a, f_max, update_f, highest, total, factor):
    """New potentials, and what turns the exponentials of a row into entries of the plan."""
    for i in range(f.shape[0]):
        if update_f:
            if log_a[i] == -np.inf:
                f[i] = -np.inf
            else:
                by_sum = epsilon * (log_a[i] - math.log(total[i])) - highest[i]
                f[i] = min(f_max, tau_a * by_sum)
        if f[i] == -np.inf or total[i] == 0.0:
            factor[i] = 0.0
        elif update_f and tau_a == 1.0 and f[i] < f_max:
            factor[i] = math.exp(log_a[i]) / total[i]  # exact whatever the rounding of f
        else:
            factor[i] = math.exp(min(690.0, (f[i] + highest[i]) / epsilon))  # inf * 0 is NaN


@compiled
def add_columns(e, factor, part, sums):
    """sums_j += sum_i factor_i e_ij, summed over these rows in the type of ``part``."""
    n_rows, n_columns = e.shape
    scale = np.zeros((n_rows + 3) // 4 * 4, dtype=part.dtype)
    for i in range(n_rows):
        scale[i] = factor[i]
    for start in range(0, n_columns, _STRIP):
        width = min(_STRIP, n_columns - start)
        p, s = part[:width], sums[start : start + width]
        p[:] = 0.0
        for i in range(0, n_rows, 4):
            # Past the last row its factor is 0, so any row will do.
            row0 = e[i, start : start + width]
            row1 = e[min(i + 1, n_rows - 1), start : start + width]
            row2 = e[min(i + 2, n_rows - 1), start : start + width]
            row3 = e[min(i + 3, n_rows - 1), start : start + width]
            u0, u1, u2, u3 = scale[i], scale[i + 1], scale[i + 2], scale[i + 3]
            for j in range(width):
                p[j] += (row0[j] * u0 + row1[j] * u1) + (row2[j] * u2 + row3[j] * u3)
        for j in range(width):
            s[j] += p[j]


@compiled
def add_exact_columns(cost, epsilon, f, g, highest, total):
    """Add rows to the running maxima and shifted sums of columns: nothing underflows."""
    for i in range(cost.shape[0]):
        if f[i] == -np.inf:
            continue
        for j in range(cost.shape[1]):
            exponent = (f[i] + g[j] - cost[i, j]) / epsilon
            if exponent > highest[j]:
                total[j] = total[j] * math.exp(highest[j] - exponent) + 1.0
                highest[j] = exponent
            elif exponent > -np.inf:
                total[j] += math.exp(exponent - highest[j])


@compiled
def multiply_rows(k, vector, products):
    """products_i = sum_j k_ij vector_j in float64."""
    lanes = np.empty(_LANES)
    for i in range(k.shape[0]):
        lanes[:] = 0.0
        for start in range(0, k.shape[1], _LANES):
            width = min(_LANES, k.shape[1] - start)
            row, x = k[i, start : start + width], vector[start : start + width]
            for j in range(width):
                lanes[j] += row[j] * x[j]
        products[i] = lanes.sum()


@compiled
def log_sums(sums, log_b, least, logs):
    """Logarithms of column sums, -inf where they cannot be trusted; return whether all can be."""
    trusted = True
    for j in range(sums.shape[0]):
        if log_b[j] == -np.inf:
            logs[j] = 0.0
            continue
        logs[j] = math.log(sums[j]) if sums[j] > least else -np.inf
        if not abs(logs[j]) < _TRUSTED:
            logs[j], trusted = -np.inf, False
    return trusted


@compiled
def _log_mass(log_weight, potential, rho):
    """log sum w exp(-potential / rho) over the entries with weight."""
    highest = -np.inf
    for i in range(log_weight.shape[0]):
        if log_weight[i] > -np.inf:
            highest = max(highest, log_weight[i] - potential[i] / rho)
    total = 0.0
    for i in range(log_weight.shape[0]):
        if log_weight[i] > -np.inf:
            total += math.exp(log_weight[i] - potential[i] / rho - highest)
    return highest + math.log(total)


@compiled
def sum_of(values):
    """Their sum, which may be infinite without a warning."""
    total = 0.0
    for j in range(values.shape[0]):
        total += values[j]
    return total


@compiled
def _dual_term(epsilon, log_weight, potential, tau):
    """<w, potential>, or what the penalty makes of it."""
    value = 0.0
    if tau == 0.0:
        return value
    rho = epsilon * tau / (1.0 - tau)
    for i in range(log_weight.shape[0]):
        if log_weight[i] > -np.inf:
            weight, exponent = math.exp(log_weight[i]), -potential[i] / rho
            if tau == 1.0:
                value += weight * potential[i]
            elif abs(exponent) < _TRUSTED:
                value -= rho * (weight * math.expm1(exponent))
            else:  # either factor may leave the range and their product stay
                value -= rho * (math.exp(log_weight[i] + exponent) - weight)
    return value


@compiled
def dual_value(epsilon, log_a, log_b, f, g, tau_a, tau_b, mass):
    """Dual value of (f, g), whose plan has this mass."""
    rows, columns = _dual_term(epsilon, log_a, f, tau_a), _dual_term(epsilon, log_b, g, tau_b)
    return rows + columns - epsilon * mass


@compiled
def _translate(epsilon, log_a, log_b, f, g, tau_a, tau_b):
    """Raise f and lower g by the number that maximises the dual."""
    rho_a, rho_b = epsilon * tau_a / (1.0 - tau_a), epsilon * tau_b / (1.0 - tau_b)
    masses = _log_mass(log_a, f, rho_a) - _log_mass(log_b, g, rho_b)
    t = rho_a * rho_b / (rho_a + rho_b) * masses
    for i in range(f.shape[0]):
        f[i] += t
    for j in range(g.shape[0]):
        g[j] -= t


@compiled
def column_step(epsilon, log_a, log_b, b, f, g, tau_a, tau_b, sums, logs, step):
    """Write the step of g, and translate f and g if both are penalised; return the error."""
    if 0.0 < tau_a < 1.0 and 0.0 < tau_b < 1.0:
        _translate(epsilon, log_a, log_b, f, g, tau_a, tau_b)
    error = 0.0
    for j in range(g.shape[0]):
        step[j] = 0.0
        if log_b[j] == -np.inf:
            continue
        step[j] = tau_b * (g[j] + epsilon * (log_b[j] - logs[j])) - g[j]
        change = step[j] / epsilon
        if tau_b == 1.0:
            error += abs(sums[j] - b[j])
        elif abs(change) < _TRUSTED:
            error += sums[j] * abs(math.expm1(change))
        else:
            error += abs(math.exp(min(logs[j] + change, 709.0)) - sums[j])
    return error


@compiled
def _sweep_problem(cost, epsilon, log_a, f, g, tau_a, e, row_numbers, part, sums):
    """Column sums of a small problem in float64; f is updated."""
    slope = min(1.0 / (epsilon * math.log(2.0)), 1e300)
    highest, total, factor = row_numbers
    sums[:] = 0.0
    for start in range(0, cost.shape[0], _BLOCK_ROWS):
        stop = min(start + _BLOCK_ROWS, cost.shape[0])
        block, rows = e[: stop - start], f[start:stop]
        exponentials(cost[start:stop], g, slope, block, highest, total)
        row_factors(epsilon, log_a[start:stop], rows, tau_a, np.inf, True, highest, total, factor)
        add_columns(block, factor, part, sums)


@compiled
def _iterate_problem(cost, epsilon, log_a, log_b, f, g, tau_a, tau_b, max_iter, tol, e, columns):
    row_numbers = np.empty((3, _BLOCK_ROWS))
    part, sums, logs, step, highest, total, b = columns
    for j in range(g.shape[0]):
        b[j] = math.exp(log_b[j])
    error = np.inf
    for done in range(max_iter):
        _sweep_problem(cost, epsilon, log_a, f, g, tau_a, e, row_numbers, part, sums)
        if not log_sums(sums, log_b, 0.0, logs):
            highest[:], total[:] = -np.inf, 0.0
            add_exact_columns(cost, epsilon, f, g, highest, total)
            for j in range(g.shape[0]):
                if log_b[j] > -np.inf:
                    logs[j] = highest[j] + math.log(total[j])
                    sums[j] = math.exp(min(logs[j], 709.0))
        error = column_step(epsilon, log_a, log_b, b, f, g, tau_a, tau_b, sums, logs, step)
        if tol > 0.0 and error <= tol:
            return done + 1, error
        for j in range(g.shape[0]):
            g[j] += step[j]
    return max_iter, error


@compiled
def iterate_problems(C, epsilon, log_a, log_b, f, g, tau_a, tau_b, max_iter, tol, n_iter, error):
    """Iterate each of a few small problems by itself, all in float64."""
    cost = np.empty(C.shape[1:])
    e = np.empty((min(_BLOCK_ROWS, C.shape[1]), C.shape[2]))
    columns = np.empty((7, C.shape[2]))
    for b in range(C.shape[0]):
        for i in range(C.shape[1]):
            for j in range(C.shape[2]):
                cost[i, j] = C[b, i, j]
        n_iter[b], error[b] = _iterate_problem(
            cost, epsilon[b], log_a[b], log_b[b], f[b], g[b], tau_a, tau_b, max_iter, tol, e,
            columns,
        )  # fmt: skip
