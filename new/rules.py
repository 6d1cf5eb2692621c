"""The list of daybook's own files that a project gets, and the rules for what changes in them. These files run here and are tested as
they are, so they have no template syntax: the rules find the names. A rule for one file must match, so it cannot be out of date."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable

from choices import Choices

# A folder means everything in it.
COPIED = (
    ".cargo/config.toml", ".dockerignore", ".editorconfig", "Containerfile", "compose.outbound.yaml", "compose.yaml",
    "project.env", "rust-toolchain.toml", "ansible", "deploy", "grafana", "haproxy", "litestream", "prometheus", "quadlet", "server", "systemd",
    "scripts/check-dashboard", "scripts/check-prometheus", "scripts/compose", "scripts/console", "scripts/dev", "scripts/dev.py", "scripts/down", "scripts/image", "scripts/need",
    "scripts/promtool", "scripts/replicas", "scripts/requirements-compose.txt", "scripts/requirements-dev.txt", "scripts/run", "scripts/up", "scripts/venv",
)
NOT_COPIED = ("ansible/.ansible-lint", "ansible/requirements-lint.txt", "deploy/checks.toml")

# Names of the library, of its metrics and configuration, and of Ansible's role with its variables: the same in each project.
LIBRARY = "|".join((
    r"\.daybook/", r"\bdaybook_(?!data\b|sockets\b)[a-z]", r"\bdaybook\.toml\b", r'job_name: daybook\b', r'\bjob!?="daybook"',
    r"\b(?:roles|group_vars)/daybook\b", r"hosts: daybook\b", r"'daybook' in group_names", r"^    - daybook$", r"^daybook:$",
))
# Units that daybook installs under the names of their programs.
UNITS = "haproxy-https|haproxy(?!-sites)|litestream|prometheus"

# Stands for the word `daybook` in a replacement: the library.
LITERAL = "\0"

Rule = tuple[str, str]


def names(choices: Choices) -> list[Rule]:
    """Patterns that hold in every file, in this order."""
    name, settings = choices.name, choices.settings
    return [
        (rf"(?<![\w.-])({UNITS})\.(service|socket|container|volume)\b", rf"{name}-\1.\2"),
        (rf"^(ContainerName|VolumeName|RuntimeDirectory)=({UNITS})$", rf"\1={name}-\2"),
        (rf"(podman exec|--signal USR2|--unit=|journalctl -u|-u|systemctl restart|systemctl start)( ?)({UNITS})\b", rf"\1\2{name}-\3"),
        (rf"/run/({UNITS})\b", rf"/run/{name}-\1"),
        (r"/var/lib/backup\b", f"/var/lib/{name}-backup"),
        (r"^StateDirectory=daybook backup$", f"StateDirectory={name} {name}-backup"),
        (r"\bbackup-(sftp-key|s3-key-id|s3-secret|s3-credentials)\b", rf"{name}-backup-\1"),
        # In the name of a slice, a hyphen makes a child of another slice.
        (r"\bsystem-daybook\.slice\b", f"system-{choices.crate}.slice"),
        (r"\b9101\b", settings["OPERATOR_PORT"]),
        (r"\b9102\b", settings["LITESTREAM_PORT"]),
        (r"\b10\.89\.65\b", settings["SUBNET"]),
        (r"\b10001\b", settings["USER_ID"]),
        (r"\b10002\b", str(int(settings["USER_ID"]) + 1)),
    ]


def project_env(choices: Choices) -> list[Rule]:
    return [
        *((rf"(?m)^PROJECT_{key}=.*$", f"PROJECT_{key}={value}") for key, value in choices.settings.items()),
        (r"(?m)^# This project's name and ports.*\n(#.*\n)*", "# This project's name and ports, for compose.yaml and the scripts. To change them, edit .daybook/project.toml, and run\n"
         "# `make upgrade`: other files, which systemd and Podman read as they are, repeat them.\n"),
    ]


def containerfile(choices: Choices) -> list[Rule]:
    rules = [
        (r"mkdir -p src tests.* && touch src/lib\.rs tests/all\.rs", "mkdir src && touch src/lib.rs"),
        (r"for program in src/main .*; do \\\n *echo 'fn main\(\) \{\}' >\"\$program\.rs\"; done", "echo 'fn main() {}' >src/main.rs"),
        (r"COPY daybook\.toml \./\nCOPY src src\n", "# Everything but what .containerignore names: files outside of src/ may be compiled in, too.\nCOPY . .\n"),
        (r"An HTTP service that writes each request to SQLite before it responds\.", f"{choices.name}, an application of {LITERAL}."),
        (r' \\\n *org\.opencontainers\.image\.licenses="MIT"', ""),
    ]
    if not choices.source.tag:
        move = rf"""sed -i 's#^\({LITERAL} = {{.*path = "\)[^"]*#\1/library#' Cargo.toml""".replace("\\", r"\\")
        rules += [
            (
                r"COPY Cargo\.toml Cargo\.lock \./\n",
                "COPY Cargo.toml Cargo.lock ./\n"
                "# The library, from the directory that Cargo.toml names: scripts/image gives it.\n"
                "COPY --from=library . /library/\n"
                f"RUN {move}\n",
            ),
            (r"    touch src/lib\.rs src/main\.rs", f"    {move} && touch src/lib.rs src/main.rs"),
        ]
    return rules


def compose(choices: Choices) -> list[Rule]:
    """The defaults, for `podman compose` without the scripts."""
    ports = ("PORT", "TLS_PORT", "OPERATOR_PORT", "PROMETHEUS_PORT", "GRAFANA_PORT")
    return [(rf"\$\{{PROJECT_{port}:-[0-9]+\}}", f"${{PROJECT_{port}:-{choices.settings[port]}}}") for port in ports]


def image(choices: Choices) -> list[Rule]:
    if choices.source.tag:
        return []
    return [(
        r"(?m)^read -ra flags .*\n",
        r"\g<0>"
        "# The library is a directory outside of this one: the build gets a copy.\n"
        "library=$(mktemp -d)\n"
        "trap 'rm -rf \"$library\"' EXIT\n"
        f"""place=$(sed -n 's/^{LITERAL} = {{.*path = "\\\\([^"]*\\\\)".*/\\\\1/p' Cargo.toml | head -n 1)\n"""
        'tar -c --exclude-vcs --exclude=./target -C "$place" . | tar -x -C "$library"\n'
        'flags+=(--build-context "library=$library")\n',
    )]


def server_install(choices: Choices) -> list[Rule]:
    name = choices.name
    return [
        (r'"\$\{file%%/\*\}"', f'"{name}-${{file%%/*}}"'),
        (r"# A folder is named after the service that reads it\.", "# A folder is named after the program that reads it."),
        (r"for service in litestream ", f"for service in {name}-litestream "),
        (r'(\{drop_in##\*/\}") litestream\b', rf"\1 {name}-litestream"),
        (r"quadlet/prometheus\.\*", f"quadlet/{name}-prometheus.*"),
        # Debian's HAProxy may be the server's own, in front of several projects.
        (r"(?m)^ *# Debian starts its own HAProxy when it installs it\.\n.*\n", ""),
    ]


def readme_of_ansible(choices: Choices) -> list[Rule]:
    return [
        (r"\n\[docs/hetzner\.md\]\(.*?\) starts from an empty account\.", ""),
        (r"\n`scripts/check-ansible` checks all of it.*\n", ""),
        (r"\[records\]\(\.\./docs/reference\.md#old-records\)", "records"),
    ]


HELLO = (r" -d 'hello, daybook'", "")
UNITS_ARE_CHECKED = r"`scripts/check-units` checks all units\."

# Rules for one file: more names, and words about what a project does not have.
OF_FILE: dict[str, Callable[[Choices], list[Rule]]] = {
    "project.env": project_env,
    "Containerfile": containerfile,
    "compose.yaml": compose,
    "scripts/image": image,
    "scripts/run": lambda _: [HELLO, (r"/hello", "/")],
    "scripts/up": lambda _: [HELLO, (r"/hello", "/")],
    "server/install": server_install,
    "server/README.md": lambda choices: [
        HELLO, (r"/hello", "/"),
        (r"`haproxy` for\b", f"`{choices.name}-haproxy` for"),
        (r"`litestream` for\b", f"`{choices.name}-litestream` for"),
        (r" \[The reference\]\(\.\./docs/reference\.md#old-records\) says how to choose\.", ""),
    ],
    "quadlet/README.md": lambda _: [HELLO, (r"/hello", "/"), (UNITS_ARE_CHECKED + " ", "")],
    "quadlet/daybook-next.container": lambda _: [(r"except for names and\n# image, which e2e/server/test_deploys\.py checks\.", "except for names and image.")],
    "quadlet/prometheus.container": lambda choices: [(r":9090\b", f":{choices.settings['PROMETHEUS_PORT']}")],
    "systemd/README.md": lambda choices: [
        HELLO, (r"/hello", "/"), (r"\n" + UNITS_ARE_CHECKED + r"\n", ""),
        (r"127\.0\.0\.1:8080", f"127.0.0.1:{choices.port}"),
        (r"security daybook@1 haproxy litestream", f"security daybook@1 {choices.name}-haproxy {choices.name}-litestream"),
    ],
    "systemd/daybook@.service": lambda _: [(r" \(src/process/scheduling\.rs\)", "")],
    "systemd/daybook@.socket": lambda choices: [(r"127\.0\.0\.1:8080", f"127.0.0.1:{choices.port}")],
    "ansible/README.md": readme_of_ansible,
    "ansible/roles/daybook/tasks/start.yml": lambda choices: [(r" haproxy\*", f" {choices.name}-haproxy*")],
    "ansible/roles/daybook/tasks/install.yml": lambda choices: [(r"-changed/litestream\b", f"-changed/{choices.name}-litestream")],
    "ansible/roles/daybook/vars/main.yml": lambda _: [(r"'/prometheus\[\.\]'", "'-prometheus[.]'")],
    # The operator gives the secrets without the project's name.
    "ansible/roles/daybook/tasks/variables.yml": lambda choices: [(r"map\('replace', '-', '_'\)", f"map('replace', '{choices.name}-', '') | map('replace', '-', '_')")],
    "deploy/README.md": lambda _: [(r"; \[migrations\]\(\.\./docs/reference\.md#migrations\)", ", its file's first line")],
    "haproxy/README.md": lambda _: [
        (r"(?m)^ *make e2e ARGS=.*\n", ""),
        (r"\[The replica's log\]\(\.\./docs/reference\.md#logs\)", "The replica's log"),
    ],
    "litestream/README.md": lambda _: [
        (r" `e2e/litestream` shows that each key is read, and compares values with the log\.", ""),
        (r"`src/store/litestream\.rs`", f"{LITERAL}'s `src/store/litestream.rs`"),
    ],
    "litestream/litestream.yml": lambda _: [(r"(?m)^# Litestream 0(.*)Litestream silently ignores\n# unknown keys; e2e/litestream tests that each key is read\.$", r"# Litestream 0\1Litestream silently ignores\n# unknown keys.")],
    "prometheus/server.yml": lambda choices: [(r"localhost:9090", f"localhost:{choices.settings['PROMETHEUS_PORT']}")],
    "prometheus/README.md": lambda choices: [(r":9090\b", f":{choices.settings['PROMETHEUS_PORT']}")],
}


def apply(rules: Iterable[Rule], text: str, where: str) -> str:
    """Every rule must match."""
    for pattern, replacement in rules:
        text, count = re.subn(pattern, replacement, text)
        if not count:
            raise LookupError(f"new/rules.py: {where} does not have /{pattern}/ any more: adjust the rule")
    return text


def rename(text: str, choices: Choices) -> str:
    """Applies `names`; a text may have none of them."""
    for pattern, replacement in names(choices):
        text = re.sub(pattern, replacement, text, flags=re.MULTILINE)
    return re.sub(rf"({LIBRARY})|daybook", lambda match: match[1] or choices.name, text, flags=re.MULTILINE).replace(LITERAL, "daybook")
