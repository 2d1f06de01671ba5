"""
Classes from domains alone
==========================

Images come from twelve places, and each place has its own mix of digits. Nobody has labelled a
single one. That the mixes differ is enough to find the digits, and how often each occurs where. Of
new images 98 % get the right class; k-means finds 80 %.
"""

# %%
# Digits dealt to twelve places. The shares are drawn at random, so that rows of one digit look the
# same everywhere, and only their number differs.

import numpy as np
from matplotlib import pyplot as plt
from sklearn.datasets import load_digits

from clusterlib.cluster import KMeans
from clusterlib.datasets import make_latent_label_shift
from clusterlib.label_shift import LatentLabelShift
from clusterlib.metrics import label_shift_floors, latent_label_shift_scores
from clusterlib.plotting import DomainSimplexDisplay, LabelMarginalDisplay

places = make_latent_label_shift(
    *load_digits(return_X_y=True),
    n_domains=12,
    concentration=3.0,
    max_condition=4.0,
    random_state=0,
)
new = np.random.default_rng(0).random(len(places.X)) < 0.25
X, y, domains = places.X[~new], places.y[~new], places.domains[~new]

# %%
# ``y`` of ``fit`` is the **domain** of each row, not its class. New images are labelled with their
# domain, if that is known, or without.

model = LatentLabelShift(n_classes=10, random_state=0).fit(X, domains)
known = model.predict(places.X[new], domain=places.domains[new])
pooled = model.predict(places.X[new])
clusters = KMeans(10, n_init=10, random_state=0).fit(X).predict(places.X[new])
floors = label_shift_floors(places.label_marginals, y, domains)
for name, labels in {"domain known": known, "unknown": pooled, "k-means": clusters}.items():
    scores = latent_label_shift_scores(
        places.y[new], labels, places.label_marginals, model.label_marginals_
    )
    print(f"{name:13s} accuracy {scores.accuracy:.3f}")
print(f"{'majority':13s} accuracy {floors.domain_only_accuracy:.3f}")

# %%
# The digits of each place, as estimated. Classes come by falling share and have no names.

LabelMarginalDisplay.from_estimator(model)

# %%
# What the places say of the new images, for three of the classes: images lie in a triangle whose
# corners are the classes. Noise scatters them, as each is judged by the places of few neighbours.

DomainSimplexDisplay.from_estimator(model, places.X[new], classes=[0, 1, 2])

# %%
# How sure the answer is, without labels.

for name, value in model.report_._asdict().items():
    print(f"{name:18s} {value}")

plt.show()
