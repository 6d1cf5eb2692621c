# As root on Debian, targets install what they need; otherwise they say what is missing (scripts/need).
SHELL := bash
.SHELLFLAGS := -euo pipefail -c
.DEFAULT_GOAL := help
.PHONY: help new run dev test mutants lint outdated bench image up down e2e e2e-host provision deploy rollback next promote drop history console

help: ## list the targets (default)
	@awk -F ':.*## ' '/^[a-z0-9-]+:.*## / { printf "make %-9s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

new: ## start a project of your own: NAME=guestbook DIR=../guestbook [PORT=8180] [DAYBOOK=PATH|GIT#TAG] (docs/new.md)
	@scripts/need cargo git python3
	@exec new/project new "$(NAME)" "$(DIR)" $(if $(PORT),--port "$(PORT)") $(if $(DAYBOOK),--daybook "$(DAYBOOK)")

run: ## build quickly (not optimised), start daybook on ./requests.db, and print a first request to try
	@exec scripts/run

dev: ## run a debug build; build and start it again when a source file is saved
	@exec scripts/dev

test: ## run all tests
	@scripts/need cargo cc curl hey wrk
	cargo test --locked

mutants: ## mutation testing of src/: print the mutants that no test notices (hours; ARGS="--file 'src/store/**'")
	@scripts/need cargo cc curl hey wrk venv
	@exec scripts/mutants/run $(ARGS)

lint: ## check formatting, warnings, documentation, dependencies, pins, alerts, dashboard, playbook and units
	@scripts/need cargo cc
	cargo fmt --check
	scripts/cargo-deny
	cargo clippy --locked --all-targets -- -D warnings
	cargo fmt --check --manifest-path bench/postgres/Cargo.toml
	cargo clippy --locked --manifest-path bench/postgres/Cargo.toml --target-dir "$${CARGO_TARGET_DIR:-target}" -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --locked --no-deps --all-features
	scripts/public-api
	scripts/pins check
	scripts/check-docs
	new/project check
	scripts/check-prometheus
	scripts/check-dashboard
	scripts/check-ansible
	@if [[ $$(id -u) == 0 ]]; then scripts/check-units; else echo "scripts/check-units: skipped, it needs root"; fi
	scripts/cargo-deny advisories

outdated: ## list pinned versions that are behind: images, crates, Python packages (docs/pins.md)
	@scripts/need cargo venv
	@exec scripts/outdated

bench: ## compare daybook with other servers (10 minutes; ARGS="--quick", "--only …"; bench/README.md)
	@exec bench/run $(ARGS)

image: ## build the images localhost/daybook and localhost/daybook-restore with podman
	@exec scripts/image

up: ## build the images and start the whole system of compose.yaml: replicas, HAProxy, Litestream, Prometheus
	@scripts/compose --version >/dev/null
	@scripts/image
	@exec scripts/up

down: ## stop the whole system; its volumes stay
	@exec scripts/down

e2e: ## test the whole system on a host of its own (root on Debian 12; 20 to 30 minutes; e2e/README.md)
	@exec e2e/run $(ARGS)

e2e-host: ## test quadlet/, systemd/, deploy/, ansible/ and a project of `make new`, on hosts of their own (root; more than an hour)
	@exec e2e/run e2e/server e2e/ansible e2e/new/test_beside.py

provision: ## set up bare Debian servers of ansible/inventory.yml: [HOST=…] [ARGS="--check --diff"]
	@venv=$$(scripts/venv ansible/requirements.txt) && cd ansible && \
	exec "$$venv/bin/ansible-playbook" playbook.yml $(if $(HOST),--limit "$(HOST:root@%=%)") $(ARGS)

deploy: ## replace the version on a server, replica by replica: HOST=root@server [IMAGE=…] (deploy/README.md)
	@exec deploy/deploy deploy "$(HOST)"

rollback: ## return to the version before: HOST=…
	@exec deploy/deploy rollback "$(HOST)"

next: ## start a canary beside the current version: HOST=… [IMAGE=…] [PERCENT=10]
	@exec deploy/deploy next "$(HOST)"

promote: ## replace the current version with the canary: HOST=…
	@exec deploy/deploy promote "$(HOST)"

drop: ## stop the canary: HOST=…
	@exec deploy/deploy drop "$(HOST)"

history: ## list the deploys of a server: HOST=…
	@exec deploy/deploy history "$(HOST)"

console: ## open a tunnel to a server's console, and print its address: HOST=…
	@exec scripts/console "$(HOST)"
