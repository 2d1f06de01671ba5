"""Settings: what may be set, who sees it, and where the default number of threads comes from."""

import threading

import pytest

import clusterlib
from clusterlib import config
from clusterlib.config import available_cores, config_context, default_threads, get_config
from clusterlib.installation import describe_config, describe_versions


@pytest.fixture(autouse=True)
def restored():
    before = get_config()
    yield
    config.set_config(**before)


def test_set_config_changes_what_is_named():
    clusterlib.set_config(n_threads=3)
    assert get_config() == {"n_threads": 3, "block_bytes": 64 * 2**20}
    clusterlib.set_config(block_bytes=4096)
    assert get_config() == {"n_threads": 3, "block_bytes": 4096}
    clusterlib.set_config(n_threads=None)
    assert get_config() == {"n_threads": None, "block_bytes": 4096}


def test_get_config_returns_a_copy():
    get_config()["n_threads"] = 5
    assert get_config()["n_threads"] is None


@pytest.mark.parametrize(
    ("settings", "error", "message"),
    [
        ({"threads": 1}, TypeError, "unknown setting 'threads'"),
        ({"n_threads": 1.0}, TypeError, "n_threads must be an integer"),
        ({"n_threads": True}, TypeError, "n_threads must be an integer"),
        ({"n_threads": 0}, ValueError, "n_threads must be at least 1"),
        ({"block_bytes": None}, TypeError, "block_bytes must be an integer"),
        ({"block_bytes": -1}, ValueError, "block_bytes must be at least 1"),
    ],
)
@pytest.mark.parametrize("change", ["set_config", "config_context"])
def test_wrong_settings_change_nothing(settings, error, message, change):
    before = get_config()
    with pytest.raises(error, match=message):
        if change == "set_config":
            clusterlib.set_config(**{"n_threads": 7} | settings)
        else:
            with config_context(**settings):
                pass
    assert get_config() == before


def test_contexts_nest_and_end_with_an_error():
    with config_context(n_threads=2):
        with pytest.raises(ZeroDivisionError), config_context(n_threads=1, block_bytes=8):
            assert get_config() == {"n_threads": 1, "block_bytes": 8}
            1 / 0  # noqa: B018
        assert get_config() == {"n_threads": 2, "block_bytes": 64 * 2**20}
    assert get_config()["n_threads"] is None


def test_a_context_belongs_to_its_thread_and_the_process_to_all():
    seen = []
    clusterlib.set_config(n_threads=5)
    with config_context(n_threads=2):
        other = threading.Thread(target=lambda: seen.append(get_config()["n_threads"]))
        other.start()
        other.join()
        assert get_config()["n_threads"] == 2
    assert seen == [5]


def test_default_threads_prefers_the_setting_then_the_variable_then_the_cores(monkeypatch):
    monkeypatch.setattr(config, "available_cores", lambda: 6)
    monkeypatch.delenv("OMP_NUM_THREADS", raising=False)
    assert default_threads() == 6
    assert default_threads(runtime_threads=2) == 2
    monkeypatch.setenv("OMP_NUM_THREADS", "4,2")
    assert default_threads() == 4
    assert default_threads(runtime_threads=3) == 3
    monkeypatch.setenv("OMP_NUM_THREADS", "many")
    assert default_threads() == 6
    with config_context(n_threads=9):
        assert default_threads(runtime_threads=3) == 9


@pytest.fixture
def control_group(tmp_path, monkeypatch):
    """A machine of 8 cores with a tree of control groups; returns a function that fills it."""

    def fill(membership, files):
        (tmp_path / "proc").write_text(membership)
        for name, text in files.items():
            path = tmp_path / "sys" / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_text(text)
        return config._cgroup_quota(tmp_path / "proc", tmp_path / "sys")

    return fill


@pytest.mark.parametrize(
    ("membership", "files", "quota"),
    [
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000\n"}, None),
        ("0::/a/b\n", {"a/b/cpu.max": "150000 100000\n"}, 1.5),
        ("0::/a/b\n", {"a/b/cpu.max": "max 100000", "a/cpu.max": "50000 100000"}, 0.5),
        ("0::/gone\n", {"cpu.max": "200000 100000"}, 2.0),
        ("0::/a\n", {"a/cpu.max": "garbage"}, None),
        ("0::/\n", {}, None),
        (
            "3:cpu,cpuacct:/a\n1:name=systemd:/a\n",
            {"cpu/a/cpu.cfs_quota_us": "300000", "cpu/a/cpu.cfs_period_us": "100000"},
            3.0,
        ),
        (
            "3:cpu:/a\n",
            {"cpu/a/cpu.cfs_quota_us": "-1", "cpu/a/cpu.cfs_period_us": "100000"},
            None,
        ),
    ],
)
def test_control_groups_of_both_versions_are_read(control_group, membership, files, quota):
    assert control_group(membership, files) == quota


def test_no_control_groups(tmp_path):
    assert config._cgroup_quota(tmp_path / "absent", tmp_path) is None


@pytest.mark.parametrize(("quota", "cores"), [(None, 8), (2.0, 2), (1.5, 2), (0.1, 1), (20.0, 8)])
def test_available_cores_is_the_smaller_of_affinity_and_quota(monkeypatch, quota, cores):
    monkeypatch.setattr(config.os, "sched_getaffinity", lambda pid: set(range(8)), raising=False)
    monkeypatch.setattr(config, "_cgroup_quota", lambda: quota)
    assert available_cores() == cores


def test_show_config_says_what_runs(capsys):
    clusterlib.show_config()
    written = capsys.readouterr().out
    for name, text in describe_config().items():
        assert f"{name} " in written
        assert text in written
    with config_context(n_threads=7):
        assert describe_config()["threads"].startswith("7 (")


def test_show_versions_knows_the_absent_too(capsys, monkeypatch):
    monkeypatch.setattr(clusterlib.installation, "_DISTRIBUTIONS", ("numpy", "no-such-package"))
    clusterlib.show_versions()
    written = capsys.readouterr().out
    assert clusterlib.__version__ in written
    assert describe_versions()["no-such-package"] == "not installed"
    assert describe_versions()["numpy"][0].isdigit()
