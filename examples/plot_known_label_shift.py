"""
A classifier meets other class shares
=====================================

A classifier of coarse digits was trained on as many images of each digit. It has to read a batch in
which a few digits are frequent and most are rare, and nobody labels the batch. What it says of the
batch is enough to estimate the shares of the digits, with intervals, and to predict better. Right
answers rise from 72 % to 84 %.
"""

# %%
# Images of 4 x 4 pixels, with equal shares for training, and a batch with others.

import numpy as np
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits
from sklearn.model_selection import train_test_split
from sklearn.naive_bayes import GaussianNB

from clusterlib.label_shift import BlackBoxShiftEstimator, EMShiftEstimator

images, digits = load_digits(return_X_y=True)
images = images.reshape(-1, 8, 8)[:, ::2, ::2].reshape(-1, 16)
X, pool, y, pool_digits = train_test_split(
    images, digits, test_size=0.6, stratify=digits, random_state=0
)
rng = np.random.default_rng(0)
shares = np.array([0.02, 0.02, 0.02, 0.3, 0.02, 0.3, 0.02, 0.02, 0.26, 0.02])
chance = shares[pool_digits] / np.bincount(pool_digits)[pool_digits]
rows = rng.choice(len(pool), size=400, p=chance / chance.sum())
batch, truth = pool[rows], pool_digits[rows]

# %%
# Naive Bayes takes pixels for independent, so it is far too sure of itself: as good a case for
# calibration as any. Calibrated on held-out training images, its probabilities give the shares.

plain = EMShiftEstimator(GaussianNB(var_smoothing=1e-2), calibration=None).fit(X, y).adapt(batch)
model = EMShiftEstimator(GaussianNB(var_smoothing=1e-2)).fit(X, y)
before = model.score(batch, truth)
model.adapt(batch)
black_box = BlackBoxShiftEstimator(GaussianNB(var_smoothing=1e-2)).fit(X, y).adapt(batch)

print(
    f"log loss of held-out images: {model.calibration_.history[0]:.2f} before calibration, "
    f"{model.calibration_.log_loss:.2f} after"
)
print(f"accuracy on the batch: {before:.3f} before adaption, {model.score(batch, truth):.3f} after")
for name, each in (
    ("EM, calibrated", model),
    ("EM, not calibrated", plain),
    ("confusion matrix", black_box),
):
    error = np.abs(each.target_prior_ - np.bincount(truth, minlength=10) / len(truth)).sum()
    print(f"{name:20s} L1 error of the shares {error:.3f}")

# %%
# Shares with 95 % intervals. Images of the training set weighted by ``importance_weights`` stand
# for so many of the batch:

print(f"effective sample size {model.effective_sample_size_:.0f} of {len(y)}")

figure, ax = plt.subplots(figsize=(7, 3.2), layout="constrained")
for offset, (name, each) in zip(
    (-0.15, 0.15), (("EM, calibrated", model), ("confusion matrix", black_box)), strict=True
):
    low, high = each.prior_interval()
    prior = each.target_prior_
    ax.errorbar(
        np.arange(10) + offset, prior, [prior - low, high - prior], fmt="o", ms=4, label=name
    )
ax.hlines(
    np.bincount(truth, minlength=10) / len(truth),
    np.arange(10) - 0.4,
    np.arange(10) + 0.4,
    color="black",
    linewidth=1,
    label="truth",
)
ax.axhline(0.1, color="0.7", linewidth=0.8, linestyle="--", label="training images")
ax.set(xticks=range(10), xlabel="digit", ylabel="share in the batch")
ax.legend(fontsize=8)
plt.show()
