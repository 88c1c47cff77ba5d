"""Table 1: from run folders and mixtures to results.json and its page, which says what held."""

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image
from tiny_mixtures import CONFIG, LABELS, Said, make_outcomes, make_store
from typer.testing import CliRunner

from seld_overlap_ros.cli import app
from seld_overlap_ros.config import SYSTEMS, MicrophoneArray
from seld_overlap_ros.evaluation import table1 as module
from seld_overlap_ros.evaluation.plots import curves
from seld_overlap_ros.evaluation.results_page import BEGIN, END, claims, write_page, write_results
from seld_overlap_ros.evaluation.table1 import (
    Exam,
    Grade,
    Sources,
    average,
    core_hours,
    find_runs,
    seed_results,
    table1,
    with_earlier,
)
from seld_overlap_ros.evaluation.variants import VARIANTS
from seld_overlap_ros.models.checkpoint import CheckpointError, shipped_models
from seld_overlap_ros.models.system import System, save_model

STAGES = ("ssl", "sss", "ssc", "ssl_sss", "sss_ssc", "overlap")
RECORD = {"recipe": {"name": "tiny"}, "seed": 7, "mixtures": 6,
          "stages": {stage: {"minutes": 30.0, "cores": 2} for stage in STAGES}}
SOURCES = [{0: "a"}, {1: "b", 3: "c"}, {2: "a", 4: "b", 7: "c"}]


def make_run(folder: Path, seed: int, systems=SYSTEMS) -> Path:
    for system in systems:
        torch.manual_seed(seed)
        save_model(folder / f"{system}.model.safetensors", System(replace(CONFIG, system=system)),
                   RECORD | {"seed": seed})
    return folder


def write_store(folder: Path, store) -> None:
    folder.mkdir(parents=True)
    about = {"positions": store.array.positions, "azimuths": store.azimuths, "labels": store.labels}
    (folder / "about.json").write_text(json.dumps(about))
    for name in ("mixtures", "stems"):
        np.save(folder / f"{name}.npy", getattr(store, name))
    (folder / "truth.jsonl").write_text("\n".join(map(json.dumps, store.truth)) + "\n")


def command(data: Path) -> list[str]:
    return ["table1", "--folder", str(data), "--mixtures", str(data / "mixtures")]


def exam_of(data: Path, limit: int | None = None) -> Exam:
    return module.load_exam(data / "mixtures", data / "rooms" / "test", data / "sounds", limit)


def bar(title: str):
    return iter


@pytest.fixture(scope="module")
def data(tmp_path_factory) -> Path:
    """A data folder: two validation and three test mixtures, and runs of two seeds."""
    folder = tmp_path_factory.mktemp("data")
    write_store(folder / "mixtures" / "val", make_store(SOURCES[:2], "val"))
    write_store(folder / "mixtures" / "test", make_store(SOURCES, "test"))
    for seed in (1, 2):
        make_run(folder / "tiny" / str(seed), seed)
    return folder


@pytest.fixture(scope="module")
def out(data) -> Path:
    """The folder that the command leaves."""
    runs = [part for seed in (1, 2) for part in ("--runs", str(data / "tiny" / str(seed)))]
    done = CliRunner().invoke(app, [*command(data), *runs, "--variants", "--out", str(data / "out")])
    assert done.exit_code == 0, done.output
    return data / "out"


@pytest.fixture()
def results(out) -> dict:
    return json.loads((out / "results.json").read_text())


def test_results_hold_the_figures_of_each_system_and_seed(results):
    assert list(results["systems"]) == list(SYSTEMS)
    needed = {"n_per_1000", "accuracy_test", "ci95", "direction_f1", "si_sdri", "parameters", "core_hours", "ceiling"}
    for entry in [results, *results["seeds"]]:
        assert all(needed <= set(entry["systems"][system]) for system in SYSTEMS)
    assert [(seed["run"], seed["seed"]) for seed in results["seeds"]] == [("tiny/1", 1), ("tiny/2", 2)]
    assert all({"gain", "p"} <= set(seed["paired"]["overlap_vs_cascade"]) for seed in results["seeds"])
    assert len(results["paired"]["overlap_vs_cascade"]["gain"]) == 2
    about = results["mixtures"]
    assert [about[key] for key in ("val", "test", "classes", "rooms")] == [2, 3, 3, 2]


def test_figures_over_seeds_are_means(results):
    each = [seed["systems"]["overlap"]["direction_f1"] for seed in results["seeds"]]
    assert results["systems"]["overlap"]["direction_f1"] == pytest.approx(np.mean(each), rel=1e-4)


def test_variants_of_overlap_are_compared_with_it(results, out):
    for seed in results["seeds"]:
        assert list(seed["variants"]) == list(VARIANTS)
        for one in seed["variants"].values():
            assert one["sha256"] == seed["systems"]["overlap"]["sha256"]
            assert one["gain"] == pytest.approx(one["accuracy_test"] - seed["systems"]["overlap"]["accuracy_test"],
                                                abs=1e-4)
    assert all(f"| tiny/2 | {name} |" in (out / "results.md").read_text() for name in VARIANTS)


def test_the_page_shows_the_papers_figures_beside_ours_and_pictures(out):
    page = (out / "results.md").read_text()
    for figure in ("69.7 %", "71.3 %", "71.0 %", "73.0 %"):
        assert figure in page
    for name in ("accuracy", "by_sources", "gains", "confusion_matrix"):
        assert f"](results/{name}.png)" in page
        with Image.open(out / "results" / f"{name}.png") as picture:
            assert min(picture.size) > 200
    assert str(out.parent) not in page + (out / "results.json").read_text()


def test_a_second_run_takes_what_is_saved_and_comes_to_the_same(data, out, results, monkeypatch):
    def refuse(*_):
        raise AssertionError("evaluated again")

    monkeypatch.setattr("seld_overlap_ros.evaluation.outcomes.evaluate", refuse)
    exam = exam_of(data)
    runs = find_runs([data / "tiny" / "1", data / "tiny" / "2"], [])
    again = table1(runs, exam, data / "table1" / "outcomes", "auto", bar, variants=True)
    assert json.loads(json.dumps(again)) == results


def test_what_is_written_by_hand_stays(out):
    page = out / "results.md"
    text = page.read_text()
    before, rest = text.split(BEGIN)
    page.write_text(before + BEGIN + "\n\nBecause of the *weather*.\n\n" + END + rest.split(END)[1])
    done = CliRunner().invoke(app, ["report", "--folder", str(out)])
    assert done.exit_code == 0, done.output
    assert "Because of the *weather*." in page.read_text()
    write_page(out)
    assert page.read_text().count("Because of the *weather*.") == 1
    page.write_text(text)


def test_a_limit_asks_fewer_mixtures(data):
    exam = exam_of(data, 1)
    assert (len(exam.val), len(exam.test)) == (1, 1)


@pytest.mark.parametrize("content", ["{}", "[]", "no json", "[" * 100_000], ids=lambda content: content[:10])
def test_a_strange_results_file_is_refused_in_one_sentence(tmp_path, content):
    (tmp_path / "results.json").write_text(content)
    with pytest.raises(ValueError, match="let it write the file anew"):
        write_page(tmp_path)


def test_the_page_says_of_how_many_rooms_a_group_is_and_over_what_its_intervals_are(tmp_path):
    sources = Sources(np.arange(100) % 10, {"r": 0.0})
    entries = [seed_results("run0", {"mine": graded(60, 60)}, {}, sources)]
    results = results_of({"mine": graded(60, 60)}) | {"seeds": entries, "systems": module.over_seeds(entries)}
    write_results(module.plain(results), tmp_path)
    page = (tmp_path / "results.md").read_text()
    limits = [100 * limit for limit in entries[0]["systems"]["mine"]["by_sources"]["1"]["ci95_recordings"]]
    for group in ("1 source", "anechoic (1 room)"):
        assert f"| `mine` | {group} | 100 | 60.0 % | {limits[0]:.1f} to {limits[1]:.1f} |" in page
    assert "their number, 95 % intervals over recordings, and ceiling" in page


def test_a_page_without_results_says_how_to_make_them(tmp_path):
    with pytest.raises(FileNotFoundError, match="table1 --out"):
        write_page(tmp_path)


def graded(*right: int, record=RECORD) -> Grade:
    """A system that was asked about 100 mixtures of one source and names so many of them."""
    val, test = (make_outcomes(*[Said({1: 0}, {1: 0})] * n, *[Said({1: 0}, {1: 2})] * (100 - n)) for n in right)
    return Grade(CONFIG, 1000, "0f", record, val, test)


def results_of(*seeds: dict[str, Grade], **more) -> dict:
    sources = Sources(np.arange(100))  # each another recording
    entries = [seed_results(f"run{i}", grades, {}, sources) for i, grades in enumerate(seeds)]
    return {"paper": module.PAPER, "mixtures": {"val": 100, "test": 100, "classes": 3, "rooms": 1}, "seeds": entries,
            "systems": module.over_seeds(entries), "paired": module.paired_by_seed(entries),
            "best": module.best_results(entries, seeds)}


def test_gain_and_p_are_those_of_the_same_mixtures():
    results = results_of({"cascade": graded(60, 60), "overlap": graded(70, 70)})
    paired = results["seeds"][0]["paired"]["overlap_vs_cascade"]
    assert (paired["gain"], paired["only_first"], paired["only_second"]) == (0.1, 10, 0)
    assert paired["p"] == pytest.approx(2 / 2**10)
    assert results["systems"]["overlap"]["n_per_1000"] == 700
    assert results["paired"] == {"overlap_vs_cascade": {
        "gain": [0.1], "p": [paired["p"]], "p_recordings": [paired["p_recordings"]]}}


@pytest.mark.parametrize(("overlap", "held"), [((75, 75), "held"), ((75, 61), "did not hold"), ((75,), "not settled")])
def test_the_papers_claim_is_held_against_every_seed(overlap, held):
    seeds = [{"cascade": graded(60, 60), "overlap": graded(60, n)} for n in overlap]
    claim = claims(results_of(*seeds))[0]
    assert claim.held == held
    assert "+15.0 points, p < .001" in claim.text


@pytest.mark.parametrize(("other", "held"), [(60, "held"), (74, "not settled"), (90, "did not hold")])
def test_a_lead_over_a_pair_must_be_more_than_chance(other, held):
    results = results_of({"cascade": graded(50, 50), "sss_ssc": graded(other, other), "overlap": graded(75, 75)})
    assert claims(results)[1].held == held


def test_the_best_system_is_that_of_validation_not_of_the_test():
    results = results_of({"cascade": graded(80, 10), "overlap": graded(10, 90)})
    assert results["best"]["system"] == "cascade"
    held = {claim.text.split(",")[0]: claim.held for claim in claims(results)}
    assert held["The best system in validation"] == "held"


def test_without_both_systems_the_claim_is_not_tried():
    assert claims(results_of({"overlap": graded(50, 50)}))[0].held == "not tried"


def test_the_page_can_be_written_of_a_single_deaf_system(tmp_path):
    deaf = make_outcomes(*[Said({1: 0}, {})] * 100)
    results = results_of({"mine": Grade(CONFIG, 1000, "0f", {}, deaf, deaf)})
    write_results(module.plain(results), tmp_path)
    assert "| `mine` | 1 |  | 0 | 0.0 % |" in (tmp_path / "results.md").read_text()


def test_a_system_costs_what_the_stages_behind_it_took():
    assert core_hours(RECORD) == 6
    assert core_hours({"stages": {"ssl": {"minutes": 30.0, "processes": 2}}}) == 1
    assert core_hours({"stages": {"ssl": {"minutes": 3.0}}}) is None  # on how many cores nobody knows
    assert core_hours({}) is None


def test_average_of_figures():
    entries = [{"a": 1, "b": [1.0, None], "c": "x", "d": 2}, {"a": 1, "b": [2.0, None], "c": "x"}]
    assert average(entries) == {"a": 1, "b": [1.5, None], "c": "x"}
    assert average([None, 2.0]) == 2.0


def test_a_folder_without_models_and_two_of_one_name_are_refused(data, tmp_path):
    with pytest.raises(ValueError, match="name the folder that `seld-overlap train` wrote"):
        find_runs([tmp_path], [])
    twice = data / "tiny" / "1" / "overlap.model.safetensors"
    with pytest.raises(ValueError, match="of one system and training: name one of them"):
        find_runs([twice.parent], [str(twice)])
    with pytest.raises(CheckpointError, match="no model 'none'"):
        find_runs([], ["none"])


def test_without_a_choice_the_shipped_models_are_evaluated():
    shipped = {name for run in find_runs([], []) for name in run.models}
    assert shipped == set(shipped_models())


def test_a_file_is_of_the_training_that_its_record_names(data, tmp_path):
    one, two = (data / "tiny" / str(seed) / "overlap.model.safetensors" for seed in (1, 2))
    shipped = tmp_path / "overlap.safetensors"
    shipped.write_bytes(one.read_bytes())
    assert [run.name for run in find_runs([], [str(shipped), str(two)])] == ["tiny/1", "tiny/2"]


def test_a_training_that_went_on_is_another_run(data, tmp_path):
    path = data / "tiny" / "1" / "overlap.model.safetensors"
    record = RECORD | {"seed": 3, "start": {"sha256": "", "training": RECORD | {"seed": 1}}}
    save_model(tmp_path / "overlap.model.safetensors", System(CONFIG), record)
    assert [run.name for run in find_runs([path.parent, tmp_path], [])] == ["tiny/1", "tiny/1, then tiny/3"]


def test_what_score_answers_can_be_read_by_a_program(data, capfd):
    model = data / "tiny" / "1" / "overlap.model.safetensors"
    with pytest.raises(SystemExit) as ended:
        app(["score", "--model", str(model), "--mixtures", str(data / "mixtures" / "test")])
    assert ended.value.code == 0
    assert json.loads(capfd.readouterr().out)["n_mixtures"] == 3


def test_trainings_of_an_earlier_table_are_kept_beside_new_ones(data, results, tmp_path):
    outs = [tmp_path / "first", tmp_path / "both"]
    for out, seed, more in zip(outs, "12", ([], ["--earlier", str(outs[0] / "results.json")]), strict=True):
        asked = [*command(data), "--runs", str(data / "tiny" / seed), "--variants", "--out", str(out), *more]
        done = CliRunner().invoke(app, asked)
        assert done.exit_code == 0, done.output
    both = json.loads((outs[1] / "results.json").read_text())
    assert both == results


@pytest.fixture(scope="module")
def others(data) -> Path:
    """Folder of a training from fewer mixtures."""
    record = RECORD | {"recipe": {"name": "small"}, "seed": 1, "mixtures": 3}
    for system in ("overlap", "cascade"):
        torch.manual_seed(5)
        save_model(data / "small" / f"{system}.model.safetensors", System(replace(CONFIG, system=system)), record)
    save_model(data / "small" / "scratch.model.safetensors", System(CONFIG), record)
    return data / "small"


def test_trainings_beside_are_compared_with_overlap_and_count_in_no_mean(data, others, results, tmp_path):
    asked = [*command(data), "--runs", str(data / "tiny" / "1"), "--beside", str(others), "--out", str(tmp_path)]
    done = CliRunner().invoke(app, asked)
    assert done.exit_code == 0, done.output
    found = json.loads((tmp_path / "results.json").read_text())
    assert found["systems"]["overlap"]["seeds"] == 1
    assert [(one["run"], one["system"]) for one in found["comparisons"]] == [
        ("tiny/1", "one_sss"), ("small/1", "cascade"), ("small/1", "overlap"), ("small/1", "scratch")]
    reference = found["seeds"][0]["systems"]["overlap"]["accuracy_test"]
    for one in found["comparisons"]:
        assert one["against"] == "tiny/1"
        assert one["gain"] == pytest.approx(one["accuracy_test"] - reference, abs=1e-4)
    systems = found["seeds"][0]["systems"]
    assert {one["system"]: one["same"]["gain"] for one in found["comparisons"] if "same" in one} == pytest.approx(
        {one["system"]: one["accuracy_test"] - systems[one["system"]]["accuracy_test"] for one in found["comparisons"]
         if one["run"] == "small/1" and one["system"] in systems}, abs=1e-4)
    page = (tmp_path / "results.md").read_text()
    assert all(f"| {one['run']} | `{one['system']}` | {one['mixtures']} |" in page for one in found["comparisons"])
    with Image.open(tmp_path / "results" / "mixtures.png") as picture:
        assert min(picture.size) > 200


def test_comparisons_of_an_earlier_table_are_kept(data, others, tmp_path):
    first = [*command(data), "--runs", str(data / "tiny" / "1"), "--beside", str(others), "--out", str(tmp_path / "1")]
    then = [*command(data), "--runs", str(data / "tiny" / "1"), "--earlier", str(tmp_path / "1" / "results.json"),
            "--out", str(tmp_path / "2")]
    assert [CliRunner().invoke(app, asked).exit_code for asked in (first, then)] == [0, 0]
    one, two = (json.loads((tmp_path / name / "results.json").read_text()) for name in "12")
    assert one["comparisons"] == two["comparisons"]


def test_without_an_overlap_there_is_nothing_to_compare_with(data, others, tmp_path):
    alone = data / "tiny" / "1" / "cascade.model.safetensors"
    done = CliRunner().invoke(app, [*command(data), "--model", str(alone), "--beside", str(others), "--out",
                                    str(tmp_path)])
    assert done.exit_code == 2 and "no overlap to compare with" in done.output


def test_one_training_cannot_be_beside_itself(data, tmp_path):
    both = ["--runs", str(data / "tiny" / "1"), "--beside", str(data / "tiny" / "1")]
    done = CliRunner().invoke(app, [*command(data), *both, "--out", str(tmp_path)])
    assert done.exit_code == 2 and "tiny/1 is both a training and beside it" in done.output


def test_accuracy_by_mixtures_is_of_trainings_that_differ_in_them():
    def one(system, mixtures, accuracy):
        return {"run": "r", "system": system, "against": "main", "mixtures": mixtures, "accuracy_test": accuracy}

    seeds = [{"run": "main", "systems": {"overlap": one("overlap", 100, 0.5), "cascade": one("cascade", 100, 0.3)}}]
    compared = [one("overlap", 10, 0.4), one("scratch", 10, 0.1), one("scratch", 100, 0.2), one("cascade", 100, 0.4)]
    found = curves({"seeds": seeds, "comparisons": compared})
    shares = {name: {n: point["accuracy_test"] for n, point in points.items()} for name, points in found.items()}
    assert shares == {"overlap": {10: 0.4, 100: 0.5}, "scratch": {10: 0.1, 100: 0.2}}
    assert curves({"seeds": seeds}) == {}
    seeds.append({"run": "second", "systems": {"overlap": one("overlap", 100, 0.6)}})
    later = {**one("overlap", 100, 0.3), "against": "second"}  # as many: it leaves the curves as they are
    assert curves({"seeds": seeds, "comparisons": [*compared, later]}) == found


def test_an_earlier_table_of_other_mixtures_is_refused_before_anything_is_evaluated(data, results, tmp_path):
    for strange in ({**results["mixtures"], "content": "another"}, {"val": 2, "test": 3, "classes": 3, "rooms": 2}):
        (tmp_path / "results.json").write_text(json.dumps({**results, "mixtures": strange}))
        done = CliRunner().invoke(app, [*command(data), "--runs", str(data / "tiny" / "1"), "--earlier",
                                        str(tmp_path / "results.json"), "--out", str(tmp_path / "out")])
        assert done.exit_code == 2 and "of other mixtures, or do not say of which" in done.output
        assert not (tmp_path / "out").exists()


def test_an_earlier_table_of_an_older_form_is_refused_before_anything_is_evaluated(data, results, tmp_path):
    def without(key):
        older = json.loads(json.dumps(results))
        for one in older["seeds"]:
            for entry in [*one["paired"].values(), *(group for system in one["systems"].values()
                                                     for group in system["by_sources"].values())]:
                entry.pop(key, None)
        return older | {"systems": module.over_seeds(older["seeds"])}

    for older in map(without, ("p_recordings", "ci95_recordings")):
        (tmp_path / "results.json").write_text(json.dumps(older))
        done = CliRunner().invoke(app, [*command(data), "--runs", str(data / "tiny" / "1"), "--earlier",
                                        str(tmp_path / "results.json"), "--out", str(tmp_path / "out")])
        assert done.exit_code == 2 and "let it write the file anew" in done.output
        assert not (tmp_path / "out").exists()


def test_a_training_that_is_evaluated_again_takes_the_place_of_its_earlier_figures():
    before, after = (results_of({"cascade": graded(n, n)}) for n in (90, 60))
    found = with_earlier(after, before)
    assert [seed["systems"]["cascade"]["n_per_1000"] for seed in found["seeds"]] == [600]


def test_of_a_training_of_which_one_system_is_evaluated_again_the_others_stay():
    before = results_of({"cascade": graded(60, 60), "overlap": graded(70, 70)})
    found = with_earlier(results_of({"overlap": graded(70, 70)}), before)
    assert found["seeds"] == module.plain(before["seeds"])
    changed = results_of({"overlap": replace(graded(80, 80), sha256="ff")})
    with pytest.raises(ValueError, match="run0 is another training now, and lacks cascade"):
        with_earlier(changed, before)


def test_a_training_of_other_mixtures_does_not_take_the_place_of_one_of_its_recipe_and_seed():
    more = {**RECORD, "mixtures": 60}
    with pytest.raises(ValueError, match="run0 learnt from other mixtures than in the earlier results"):
        with_earlier(results_of({"cascade": graded(90, 90)}), results_of({"cascade": graded(60, 60, record=more)}))


def test_the_same_scenes_for_another_array_are_other_mixtures(data):
    exam = exam_of(data)
    array = MicrophoneArray(tuple((2 * x, 2 * y, z) for x, y, z in exam.test.array.positions))
    other = replace(exam, test=replace(exam.test, array=array))
    assert module.about(other)["content"] != module.about(exam)["content"]


def with_variants(results: dict, sha256: str = "0f", **variants: float) -> dict:
    """With variants of `overlap`, of which each gains so much."""
    results["seeds"][0]["variants"] = {name: {"sha256": sha256, "gain": gain} for name, gain in variants.items()}
    return results


def test_variants_are_kept_where_overlap_is_the_same():
    whole = {"cascade": graded(60, 60), "overlap": graded(70, 70)}
    alone = {"overlap": graded(70, 70)}
    for now, before in ((results_of(whole), with_variants(results_of(whole), gate=0.1)),
                        (with_variants(results_of(alone), gate=0.1), results_of(whole)),
                        (with_variants(results_of(whole), gate=0.1), with_variants(results_of(whole), gate=0.2))):
        [seed] = with_earlier(now, before)["seeds"]
        assert set(seed["systems"]) == {"cascade", "overlap"}
        assert seed["variants"] == {"gate": {"sha256": "0f", "gain": 0.1}}
    another = results_of({"overlap": replace(graded(80, 80), sha256="ff")})
    assert with_earlier(another, with_variants(results_of(alone), gate=0.1))["seeds"][0]["variants"] == {}


def test_comparisons_with_what_is_another_training_now_are_refused():
    before = results_of({"overlap": graded(70, 70)})
    before["comparisons"] = [{"run": "small/0", "system": "overlap", "against": "run0"}]
    changed = results_of({"overlap": replace(graded(80, 80), sha256="ff")})
    with pytest.raises(ValueError, match="small/0 was compared with an overlap of run0 that is another one now"):
        with_earlier(changed, before)
    changed["comparisons"] = [{"run": "small/0", "system": "overlap", "against": "run0", "again": True}]
    assert with_earlier(changed, before)["comparisons"] == changed["comparisons"]


def test_what_the_best_system_says_must_be_known():
    seeds = [{"cascade": graded(n, n)} for n in (70, 90)]
    before, after = results_of(*seeds), results_of({"cascade": graded(60, 60)})
    after["seeds"][0]["run"] = after["best"]["run"] = "run1"  # the best of before, which is worse now
    with pytest.raises(ValueError, match="evaluate run0 again too"):
        with_earlier(after, before)


def test_the_best_system_may_be_of_an_earlier_table():
    better, worse = results_of({"cascade": graded(90, 90)}), results_of({"cascade": graded(60, 60)})
    worse["seeds"][0]["run"] = worse["best"]["run"] = "another"
    for now, before in ((worse, better), (better, worse)):
        found = with_earlier(now, before)
        assert found["best"]["run"] == "run0"
        assert found["seeds"][found["best"]["index"]]["run"] == "run0"


def test_a_model_of_other_classes_is_refused_in_one_sentence(data):
    done = CliRunner().invoke(app, [*command(data), "--model", "plus", "--out", str(data / "no")])
    assert done.exit_code == 2
    assert "does not know a, b, c: score it on mixtures of its classes" in done.output


def test_score_says_the_same_as_json(data):
    model = data / "tiny" / "1" / "cascade.model.safetensors"
    done = CliRunner().invoke(app, ["score", "--model", str(model), "--mixtures", str(data / "mixtures" / "test")])
    assert done.exit_code == 0, done.output
    found = json.loads(done.output[done.output.index("{"):])
    assert found["n_mixtures"] == 3 and set(found["by_sources"]) == {"1", "2", "3"}
    assert LABELS == CONFIG.labels


def test_t60_of_the_rooms_is_taken_from_where_they_are(data):
    assert exam_of(data).t60 == {}
    exam = Exam(make_store(SOURCES, "test"), make_store(SOURCES, "test"), {"room 0": 0.0, "room 1": 0.3})
    [run] = [replace(run, models={"cascade": run.models["cascade"]}) for run in find_runs([data / "tiny" / "1"], [])]
    split = table1([run], exam, data / "table1" / "outcomes", "auto", bar)["systems"]["cascade"]["by_room"]
    assert {name: group["n"] for name, group in split.items()} == {"anechoic": 4, "rooms": 2}
