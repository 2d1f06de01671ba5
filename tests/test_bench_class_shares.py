"""The bench of class shares compares estimators with the optimum of the likelihood."""

import numpy as np

from bench import class_share_intervals, class_shares


def test_nobody_is_better_than_the_optimum(capsys):
    means = class_shares.main(["--rows", "400", "--classes", "3", "--seeds", "2", "--repeat", "1"])
    assert capsys.readouterr().out.count("| ours, EM and Newton |") == 2
    for setting in class_shares.SPREADS:
        ours = means[setting, "ours, EM and Newton"]
        assert ours[2] < 1e-9
        assert means[setting, "ours, confusion matrix"][2] > ours[2]
        assert all(0 <= error <= 2 for _, error, _ in means.values())


def test_posteriors_are_exact():
    batch = class_shares.draw(2000, 3, 1.5, seed=0)
    np.testing.assert_allclose(batch.posteriors.sum(axis=1), 1)
    # Under the source prior, posteriors average to it: labelled rows were drawn by it.
    np.testing.assert_allclose(batch.labelled.mean(axis=0), batch.source_prior, atol=0.02)


def test_intervals_are_compared_for_every_setting(capsys):
    means = class_share_intervals.main(["--draws", "2"])
    n_settings = len(class_share_intervals.CLASSIFIERS) * len(class_share_intervals.SIZES)
    assert len(means) == 2 * n_settings
    assert len(capsys.readouterr().out.splitlines()) == 2 + 2 * n_settings
    for (_, _, estimator), (inside, plain, error, corrected) in means.items():
        assert 0 <= plain <= 1 and 0.25 <= inside <= 1 and 0 < error < 1
        assert (corrected == error) == (estimator == "confusion")
