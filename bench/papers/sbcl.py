"""SBCL: a small network on fixed features, trained with and without subclasses of equal size."""

import numpy as np
from sklearn.linear_model import LogisticRegression

from bench.noisy_label_cases import NONE, Absent, Cell
from bench.papers.network import HIDDEN, Adam, embedded, gradients, new_weights
from bench.papers.record import Check, Found, Missing, Paper, Table, beside, figures, mean
from clusterlib.imbalance import SubclassBalancer
from clusterlib.metrics import shot_accuracy
from clusterlib.solvers import class_temperatures, two_level_loss

PAPER = Paper(
    method="Subclass-balancing contrastive learning (SBCL)",
    page="sbcl",
    authors="C. Hou, J. Zhang, H. Wang and T. Zhou",
    title="Subclass-balancing contrastive learning for long-tailed recognition",
    venue="ICCV",
    year=2023,
    where="table 2",
    claim="Cutting frequent classes into subclasses about as large as a rare class, and contrasting "
    "subclasses as well as classes, makes rare classes easier to recognise than contrasting classes "
    "alone, at no cost for frequent ones.",
    published=(
        Table(
            "Published: accuracy in % on CIFAR-100 with a largest class 100 times the smallest.",
            ("training", "many", "medium", "few"),
            (
                ("cross-entropy", 65.2, 37.1, 9.1),
                ("contrast of classes (SCL)", 62.8, 42.0, 18.4),
                ("of classes and subclasses (SBCL)", 64.4, 45.3, 22.2),
            ),
            digits=1,
        ),
    ),
)

RATIO = 100
DATA = ("gauss", "two clusters", "newsgroups")
GROUPS = ("many", "medium", "few")
TEMPERATURE, BETA, DELTA = 0.1, 0.25, 10  # as published
BATCH, EPOCHS, WARM_UP, EVERY = 256, 40, 10, 5
VIEW_NOISE = 0.3  # of a view, in standard deviations of a feature
COST = 1.0  # points of frequent classes that count as none
CROSS_ENTROPY, CLASSES, SUBCLASSES = "cross-entropy", "contrast of classes", "of subclasses, too"


def reproduce(*, quick: bool = False) -> Found:
    """Accuracy of frequent and rare classes after three kinds of training."""
    seeds, epochs = range(1 if quick else 5), (WARM_UP + 1 if quick else EPOCHS)
    found, missing = {}, []
    for data in DATA[:1] if quick else DATA:
        try:
            tasks = [Cell(data, NONE, 0.0, RATIO).draw(seed) for seed in seeds]
        except Absent:
            missing.append(Missing(data))
            continue
        runs = [_accuracies(task, seed, epochs) for seed, task in zip(seeds, tasks, strict=True)]
        for name in runs[0]:
            found[data, name] = {
                group: [100 * getattr(run[name], group) for run in runs] for group in GROUPS
            }
    rows = tuple(
        (data, name, *(figures(row[group]) for group in GROUPS))
        for (data, name), row in found.items()
    )
    return Found(
        setting="Rows of 20 classes, 400 or 500 to 4 or 5 of each: Gaussian classes in five groups, "
        "the same with two clusters in each class, and 96 principal components of sentence "
        f"embeddings of 20 Newsgroups. A network with one hidden layer ({HIDDEN} units) is trained "
        f"for {EPOCHS} epochs on pairs of noisy views, the published temperature, beta and delta; "
        f"subclasses are found every {EVERY} epochs after {WARM_UP} of classes alone. A logistic "
        "regression with balanced class weights on its output classifies; cross-entropy is a plain "
        "logistic regression on the features.",
        seeds=f"{seeds.start} to {seeds.stop - 1}",
        tables=(
            beside(
                *(
                    (f"{group}: points over {over}", text, _gain(found, group, over))
                    for over, texts in (
                        (CLASSES, {"few": "+3.8", "many": "+1.6"}),
                        (CROSS_ENTROPY, {"few": "+13.1", "many": "-0.8"}),
                    )
                    for group, text in texts.items()
                )
            ),
            Table(
                "Accuracy in % on classes with more than 100, 20 to 100, and fewer than 20 rows.",
                ("data", "training", *GROUPS),
                rows,
                digits=1,
            ),
        ),
        checks=tuple(_checks(found)),
        limits="The gain of rare classes is there; that frequent classes pay for it is not in the "
        "paper. A small network on fixed features may have less room for both levels than a deep "
        "one on images, and generated classes are as simple as can be. Subclass labels in place of "
        "class labels gain nothing for a linear classifier, as the page of the method shows.",
        missing=tuple(missing),
    )


def _accuracies(task, seed, epochs):
    X, y, X_test = task.problem.X, task.y, task.problem.X_test
    scale = X.std(axis=0)
    X, X_test = X / scale, X_test / scale
    plain = LogisticRegression(max_iter=1000).fit(X, y)
    found = {CROSS_ENTROPY: shot_accuracy(task.y_test, plain.predict(X_test), y)}
    for name, subclasses in ((CLASSES, False), (SUBCLASSES, True)):
        weights = _trained(X, y, seed, epochs, subclasses=subclasses)
        head = LogisticRegression(class_weight="balanced", max_iter=1000)
        head.fit(embedded(X, weights)[0], y)
        predicted = head.predict(embedded(X_test, weights)[0])
        found[name] = shot_accuracy(task.y_test, predicted, y)
    return found


def _trained(X, y, seed, epochs, *, subclasses):
    """Weights after training; the loss of classes alone is that of one subclass each."""
    rng = np.random.default_rng(seed)
    weights = new_weights(rng, X.shape[1])
    adam, labels, options = Adam(weights), y, {"beta": 0.0}
    for epoch in range(epochs):
        if subclasses and epoch >= WARM_UP and (epoch - WARM_UP) % EVERY == 0:
            Z = embedded(X, weights)[0]
            labels = SubclassBalancer(delta=DELTA, random_state=seed).fit(Z, y).subclass_labels_
            softer = class_temperatures(Z, y, labels, temperature=TEMPERATURE)
            options = {"beta": BETA, "class_temperatures": softer}
        order = rng.permutation(len(X))
        for start in range(0, len(X) - BATCH + 1, BATCH):
            rows = order[start : start + BATCH]
            twice = np.concatenate([rows, rows])
            views = X[twice] + VIEW_NOISE * rng.normal(size=(len(twice), X.shape[1]))
            forward = embedded(views, weights)
            loss = two_level_loss(
                forward[0], y[twice], labels[twice], temperature=TEMPERATURE, **options
            )
            adam.move(gradients(views, forward, weights, loss.gradient))
    return weights


def _gain(found, group, over):
    """Points of subclasses over another training, mean of the data."""
    names = dict.fromkeys(data for data, _ in found)
    gains = [mean(found[d, SUBCLASSES][group]) - mean(found[d, over][group]) for d in names]
    return float(np.mean(gains))


def _checks(found):
    for over in (CROSS_ENTROPY, CLASSES):
        gain = _gain(found, "few", over)
        yield Check(f"few: points over {over}, mean of the data", gain, ">", 0)
    cost = -_gain(found, "many", CLASSES)
    yield Check(f"many: points lost against {CLASSES}, mean of the data", cost, "<=", COST)
