from lora_drop.jobs.problems import MAX_MESSAGE, MAX_NAME, Problem, shortened


def test_a_short_text_stays_as_it_is() -> None:
    assert shortened("photo.jpg", 9) == "photo.jpg"


def test_a_long_text_keeps_its_beginning_and_its_end() -> None:
    text = "a" * 500 + ".jpg"

    short = shortened(text, 200)

    assert len(short) == 200
    assert short.startswith("aaa")
    assert "…" in short
    assert short.endswith(".jpg")


def test_a_problem_always_fits_into_a_job() -> None:
    problem = Problem(code="c", message="m" * 100_000, member="n" * 65_535)

    assert (len(problem.message), len(problem.member or "")) == (MAX_MESSAGE, MAX_NAME)
