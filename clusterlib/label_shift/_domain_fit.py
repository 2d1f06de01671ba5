"""The fit of LatentLabelShift: check, discriminate, find classes, judge, store."""

import numpy as np

from clusterlib.base import FitReport, all_or_nothing, pass_progress, progress_log
from clusterlib.blocks import Blocks, as_blocks
from clusterlib.label_shift._carried_ddfa import fit_carried_ddfa
from clusterlib.label_shift._carried_rows import (
    check_carried,
    gathered,
    have_different_rows,
    reads_blocks,
)
from clusterlib.label_shift._class_fit import (
    DomainRows,
    discriminated,
    fit_tempered,
)
from clusterlib.label_shift._class_number import chosen_number
from clusterlib.label_shift._ddfa import fit_ddfa
from clusterlib.label_shift._diagnosis import FittedRows, left_out_strength, report_of, table_of
from clusterlib.label_shift._repeated_rows import chosen_rows
from clusterlib.label_shift._scaled_fit import fit_scaled
from clusterlib.label_shift._student import taught
from clusterlib.validation import (
    Adjustment,
    Discriminator,
    DomainShares,
    Factorizer,
    ShiftMethod,
    Student,
    check_random_state,
    checked_choice,
    checked_cross_fit,
    checked_different_rows,
    checked_discriminator,
    checked_domains,
    checked_n_classes,
    checked_number_or_auto,
    checked_real,
    checked_student,
    checked_tau,
    checked_verbose,
    domain_names,
)

__all__ = ["fit_domains"]

# Starts that a solver finishes after it has compared all, and models it fits beside.
_MORE_STAGES = 4
_FIT = {ShiftMethod.TEMPERED: fit_tempered, ShiftMethod.DDFA: fit_ddfa}
# Rows above which micro-clusters stand for them, unless the user wants otherwise.
_MOST_ROWS = 100_000
# Exponents that undo the smoothing over ten neighbours, and over five micro-clusters.
_TAU, _TAU_OF_MICRO = 2.0, 1.0
# Strength of a shift from which it cannot be noise: the most that noise has shown is 0.03.
_CLEAR_STRENGTH = 0.15
_MAX_SEED = np.iinfo(np.int32).max
_STARTS, _SCALED_STARTS = {ShiftMethod.TEMPERED: 24, ShiftMethod.DDFA: 5}, 3
_ITERATIONS = {ShiftMethod.TEMPERED: 300, ShiftMethod.DDFA: 200}
# What tells domains apart if nobody says: what the published procedure has, and what finds more.
_DISCRIMINATORS = {
    ShiftMethod.TEMPERED: Discriminator.NEIGHBORS,
    ShiftMethod.DDFA: Discriminator.LOGISTIC,
}


class _Options:
    """Checked parameters of an estimator."""

    def __init__(self, estimator):
        self.method = checked_choice("method", estimator.method, ShiftMethod)
        self.discriminator = checked_discriminator(estimator.discriminator)
        self.given_discriminator = estimator.discriminator
        if self.discriminator is Discriminator.AUTO:
            self.discriminator = _DISCRIMINATORS[self.method]
        self.by_neighbors = self.discriminator is Discriminator.NEIGHBORS
        self.n_folds = checked_cross_fit(estimator.cross_fit)
        self.n_clusters = checked_number_or_auto("n_clusters", estimator.n_clusters, 1)
        self.factorizer = checked_choice("factorizer", estimator.factorizer, Factorizer)
        self.adjust = checked_choice("adjust", estimator.adjust, Adjustment)
        self.shares = checked_choice("domain_shares", estimator.domain_shares, DomainShares)
        self.student = checked_student(estimator.student)
        self.given_student = estimator.student
        self.n_neighbors = checked_number_or_auto("n_neighbors", estimator.n_neighbors, 1)
        self.tau = checked_tau(estimator.tau)
        self.beta = checked_real("beta", estimator.beta, 0, low_open=True)
        self.n_starts = checked_number_or_auto("n_init", estimator.n_init, 1)
        self.max_iter = checked_number_or_auto("max_iter", estimator.max_iter, 1)
        self.max_iter = self.max_iter or _ITERATIONS[self.method]
        self.tol = checked_real("tol", estimator.tol, 0)
        self.verbose = checked_verbose(estimator.verbose)
        self.n_micro = estimator.n_micro_clusters
        self.is_exact = self.n_micro is None
        if not self.is_exact:
            self.n_micro = checked_number_or_auto("n_micro_clusters", self.n_micro, 1)

    def meet(self, n_samples):
        """Choose what depends on the number of rows."""
        is_plain = self.method is ShiftMethod.TEMPERED and self.by_neighbors
        many = self.n_micro is not None or n_samples > _MOST_ROWS
        self.scaled = is_plain and many and not self.is_exact
        self.tau_of_rows = self.tau or _TAU
        self.tau = self.tau or (_TAU_OF_MICRO if self.scaled else _TAU)
        self.by_blocks = n_samples > _MOST_ROWS and reads_blocks(self)
        self.fit = fit_scaled if self.scaled else _FIT[self.method]
        if self.by_blocks:
            self.fit = fit_carried_ddfa
        self.n_starts = self.n_starts or (_SCALED_STARTS if self.scaled else _STARTS[self.method])


class _Progress:
    """Tells the report of a fit where the starts of the solver are."""

    def __init__(self, report, max_iter):
        self._report, self._max_iter, self._open = report, max_iter, None

    def __call__(self, start, iteration, log_likelihood):
        if start != self._open:
            self.close()
            self._report.begin_start(self._max_iter)
            self._open = start
        message = f"log-likelihood of the domains {log_likelihood:.7g}"
        return self._report.end_iteration(message, dict)

    def close(self):
        if self._open is not None:
            self._report.end_start(dict)


def fit_domains(estimator, X, y):
    """Fit LatentLabelShift.

    Parameters
    ----------
    estimator : LatentLabelShift
        Gets the fitted attributes, all of them at the end.
    X : array-like or data frame of shape (n_samples, n_features)
        As the user gave it.
    y : array-like of shape (n_samples,)
        Domains, as the user gave them.

    Returns
    -------
    early : bool
        Whether ``max_iter`` came before any other end; the stop of a callback is none.
    """
    options = _Options(estimator)
    random_state = check_random_state(estimator.random_state)
    with all_or_nothing(estimator), progress_log(options.verbose):
        X, domains, codes = checked_domains(estimator, X, y)
        n_classes = checked_n_classes(estimator.n_classes, len(domains))
        options.domains = domains
        options.meet(X.shape[0])
        X = gathered(X, 0 if options.scaled else _MOST_ROWS)
        if isinstance(X, Blocks):
            check_carried(options, X.n_samples, _MOST_ROWS)
        rng = np.random.default_rng(random_state.randint(_MAX_SEED))
        with pass_progress(estimator, as_blocks(X)):
            rows, place = _rows_to_fit(X, codes, len(domains), options, rng)
            # Starts are begun, compared, and the best of them begun again to be finished.
            report = FitReport(estimator, X, None, options.n_starts + _MORE_STAGES)
            fit, found = _fitted(estimator, rows, n_classes, options, rng, report)
            _store(estimator, fit, domains, rows, place)
            _judge(estimator, fit, found, rows, options, rng)
            report.end(dict)
    return not fit.converged and fit.n_iter >= options.max_iter


def _rows_to_fit(X, codes, n_domains, options, rng):
    """The rows without copies, and the place of each row among them; all, if they are many."""
    rows = DomainRows(X, codes, n_domains)
    if options.scaled or options.by_blocks:  # nothing here knows the domain of a single row
        checked_different_rows(1 + have_different_rows(X))
        return rows, slice(None)
    kept = chosen_rows(X, codes, rng)
    checked_different_rows(kept.n_values)
    if kept.n_values == len(X):
        return rows, slice(None)
    return rows.take(kept.rows), kept.place


def _fitted(estimator, rows, n_classes, options, rng, report):
    """Classes of the rows: their number, the method, and the student, as asked for."""
    found = None
    if not options.scaled and not options.by_blocks:
        found = discriminated(rows, options, rng, chooses=n_classes is None)
    estimator.class_choice_ = None
    if n_classes is None:
        estimator.class_choice_ = choice = chosen_number(rows, found, options, rng)
        n_classes = choice.n_classes
        if options.method is ShiftMethod.DDFA:
            n_classes = min(n_classes, options.n_clusters or n_classes)

    def refit(part):
        in_passes = options.scaled or options.by_blocks
        found = None if in_passes else discriminated(part, options, rng)
        return options.fit(part, found, n_classes, options, rng)

    progress = _Progress(report, options.max_iter)
    fit = options.fit(rows, found, n_classes, options, rng, progress)
    progress.close()
    estimator._discriminator_ = getattr(fit.classes_of_rows, "discriminator", None)
    if found is not None:
        estimator._discriminator_ = found.discriminator
    estimator.student_, estimator.student_gain_ = None, None
    if options.student is not Student.NONE:
        student = taught(rows, fit, refit, options.student, options.given_student, rng)
        fit, estimator.student_ = student.fit, student.classifier
        estimator.student_gain_ = student.gain
    return fit, found


def _judge(estimator, fit, found, rows, options, rng):
    """Store the report, and what a closer look needs where there can be one."""
    tempering = {name: getattr(options, name) for name in ("tau", "beta", "tol")}
    if found is not None:  # refits begin with so many, as all starts do, and stay with them
        tempering["n_averaged"] = found.n_averaged
    fitted = FittedRows(
        rows,
        fit.pooled if fit.rows is None else fit.rows,
        fit.posteriors,
        table_of(rows, found, fit, rng),
        fit.start_agreement,
        tempering,
        int(rng.integers(_MAX_SEED)),
    )
    found_by_rows = options.method is ShiftMethod.TEMPERED and not options.scaled
    report = report_of(fitted, fit.domain_given_class, fit.marginals)
    estimator._strength_ = None
    if found_by_rows and 0 < report.shift_strength < _CLEAR_STRENGTH:
        # The fitted rows overstate a weak shift: rows that are left out decide.
        estimator._strength_ = left_out_strength(fitted, found, options)
        report = report_of(
            fitted, fit.domain_given_class, fit.marginals, strength=estimator._strength_
        )
    estimator.report_ = report
    estimator._refits_ = {}
    estimator._fitted_rows_ = fitted if found_by_rows and options.by_neighbors else None


def _store(estimator, fit, domains, rows, place):
    shares = np.bincount(rows.codes, minlength=len(domains)) / len(rows.codes)
    estimator.domains_ = domains
    estimator.domain_shares_ = shares
    estimator.n_classes_ = fit.marginals.shape[1]
    estimator.label_marginals_ = fit.marginals
    estimator.class_prior_ = shares @ fit.marginals
    estimator.domain_given_class_ = fit.domain_given_class
    estimator.posteriors_ = None if fit.posteriors is None else fit.posteriors[place]
    if fit.rows is None:
        estimator.labels_ = estimator.posteriors_.argmax(axis=1).astype(np.int32)
        estimator._source_prior_ = fit.pooled.mean(axis=0)
    else:
        estimator.labels_ = fit.rows.labels
        estimator._source_prior_ = fit.rows.source_prior
    estimator.log_likelihood_ = fit.log_likelihood
    estimator.start_log_likelihoods_ = fit.start_log_likelihoods
    estimator.n_neighbors_ = fit.n_neighbors
    estimator.n_iter_ = fit.n_iter
    estimator.converged_ = fit.converged
    estimator.history_ = fit.history
    estimator._classes_of_rows_ = fit.classes_of_rows
    estimator._fitted_in_leaves_ = fit.rows is not None
    estimator._class_ratios_ = fit.domain_given_class
    estimator._domain_codes_ = {name: code for code, name in enumerate(domain_names(domains))}
