"""`make new` refuses bad choices before it writes anything."""

from __future__ import annotations

from pathlib import Path

import pytest

from projects import REPOSITORY, make

LONG = "twenty-characters-20"


@pytest.mark.parametrize("name, said", [
    ("Guestbook", "lower-case letters, digits and single hyphens"),
    ("my_shop", "lower-case letters, digits and single hyphens"),
    ("2shops", "begin with a letter"),
    ("my--shop", "single hyphens"),
    ("", "begin with a letter"),
    ("haproxy", "a service or network of compose.yaml"),
    ("match", "a word of Rust or Cargo"),
    ("daybook", "a crate that the project uses"),
    ("network", "a unit of systemd"),
    ("root", "a program or user of Debian"),
    ("my-haproxy", "has the word `haproxy`, a name of daybook's own"),
    (LONG, f"a user is called {LONG}-certificate: remove 1 characters"),
])
def test_a_bad_name_is_refused_with_what_would_be_right(name: str, said: str, tmp_path: Path):
    made = make(REPOSITORY, "new", f"NAME={name}", f"DIR={tmp_path / 'project'}")
    assert made.returncode != 0 and f"NAME is '{name}'" in made.stdout and said in made.stdout
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize("choice, said", [
    ("PORT=80", "PORT is 80: it must be a number from 1024 to 65530"),
    ("PORT=65531", "PORT is 65531: it must be a number from 1024 to 65530"),
    ("PORT=9098", "it and the 5 after it include 9100, a port of daybook's own"),
    ("PORT=8o8o", "PORT is '8o8o': it must be a number"),
    ("DAYBOOK=/nowhere", "there is no daybook in /nowhere"),
    ("DAYBOOK=https://example.org/daybook.git", "a git URL needs a tag, as in https://example.org/daybook.git#v0.2.0"),
    ("DAYBOOK=https://example.org/daybook.git#v99.0.0", "this checkout is not v99.0.0"),
    ("DAYBOOK=/with a space", "no quotes, backslashes or spaces"),
])
def test_a_bad_port_or_source_is_refused_with_what_would_be_right(choice: str, said: str, tmp_path: Path):
    made = make(REPOSITORY, "new", "NAME=my-shop", f"DIR={tmp_path / 'project'}", choice)
    assert made.returncode != 0 and said in made.stdout
    assert list(tmp_path.iterdir()) == []


def test_a_directory_that_is_not_empty_or_within_daybook_is_refused(tmp_path: Path):
    (tmp_path / "mine").write_text("precious")
    made = make(REPOSITORY, "new", "NAME=my-shop", f"DIR={tmp_path}")
    assert made.returncode != 0 and "exists and is not empty" in made.stdout
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]
    made = make(REPOSITORY, "new", "NAME=my-shop", "DIR=new/my-shop")
    assert made.returncode != 0 and "within daybook's own directory" in made.stdout
    assert not (REPOSITORY / "new/my-shop").exists()
