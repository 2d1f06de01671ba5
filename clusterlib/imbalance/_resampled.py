"""Containers of resampled rows and labels: those that the caller's came in."""

__all__ = ["resampled_rows", "resampled_target"]


def resampled_rows(rows, X):
    """Rows in a list if X is one, in a frame with a new index if X is one of pandas."""
    if isinstance(X, list):
        return rows.tolist()
    if hasattr(X, "iloc") and hasattr(X, "columns"):
        return type(X)(rows, columns=X.columns)
    return rows


def resampled_target(labels, y):
    """Labels in a list if y is one, in a Series or frame with a new index if y is one of pandas."""
    if isinstance(y, list):
        return labels.tolist()
    if not hasattr(y, "iloc"):
        return labels
    if hasattr(y, "columns"):
        return type(y)(labels, columns=y.columns).astype(y.dtypes)
    return type(y)(labels, name=y.name).astype(y.dtype)
