"""
Factors of a matrix with holes, and how many of them
====================================================

A third of the pixels of some images of digits is lost. Components are found from the pixels that
are left, and predict the others. How many components? Those that predict best. Lost pixels, from 0
to 16, are off by 2.9; the mean of each pixel is off by 4.2.
"""

# %%
# Images are rows, and lost pixels are NaN. Nothing is filled in: cells that are NaN have no
# influence.

import numpy as np
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits

from clusterlib.decomposition import SimplexNMF, masked_cross_validation

images = load_digits(n_class=4).data[:200]
lost = np.random.default_rng(0).random(images.shape) < 1 / 3
holes = np.where(lost, np.nan, images)

# %%
# To choose the number of components, further pixels are held out in turn. The error of a fit falls
# with every component; the error of the held-out pixels does not.

model = SimplexNMF(missing_values=np.nan, tol=1e-3, random_state=0)
choice = masked_cross_validation(model, holes, [1, 2, 4, 8, 16], n_splits=2, random_state=0)
print(f"best {choice.best}, simplest {choice.simplest}")

# %%
# With that number the lost pixels are predicted.

model.set_params(n_components=choice.best, max_iter=2000)
restored = model.inverse_transform(model.fit_transform(holes))
error = np.sqrt(np.mean((restored[lost] - images[lost]) ** 2))
mean = np.broadcast_to(np.nanmean(holes, axis=0), images.shape)
plain = np.sqrt(np.mean((mean[lost] - images[lost]) ** 2))
print(f"error of lost pixels: {error:.2f}, of the mean of each pixel: {plain:.2f}")

# %%
# Above what was left, below what came of it.

figure, axes = plt.subplots(2, 6, figsize=(6, 2.4), layout="constrained")
for column in range(6):
    for row, values in enumerate((holes, np.where(lost, restored, images))):
        axes[row, column].imshow(values[column].reshape(8, 8), cmap="Greys", vmin=0, vmax=16)
        axes[row, column].set_axis_off()

# %%
# The errors of the held-out pixels. With too many components nothing holds what they say of a pixel
# that is missing, and the error has no bounds.

figure, axis = plt.subplots(figsize=(4, 3), layout="constrained")
axis.errorbar(
    choice.n_components, choice.errors.mean(axis=1), choice.errors.std(axis=1), marker="o"
)
axis.set(xscale="log", yscale="log", xlabel="components", ylabel="error of held-out pixels")
axis.set_xticks(choice.n_components, choice.n_components)
axis.minorticks_off()
plt.show()
