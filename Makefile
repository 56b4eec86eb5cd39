# Interleave: `make help` lists the targets. Everything is built in place; `make clean` removes what was built.
SHELL := /bin/bash
.DELETE_ON_ERROR:
.DEFAULT_GOAL := help
.PHONY: help up build setup test lint bench faults load nightly coverage check-onnx check-models check-hostile check-doors check-keys check-mutations check-deploy gpu-check sanitize format clean

MODELS_DIR ?= models
NATIVE_ADDON := libs/native/build/interleave_native.node
NATIVE_SOURCES := $(shell find libs/native/src libs/native/CMakeLists.txt libs/native/build.sh -type f)
TS_BUILT := dist/.built
TS_SOURCES := $(shell find apps libs tools bench test/fixtures test/support \( -name '*.ts' -not -name '*.spec.ts' -o -name '*.tsx' -o -name '*.css' -o -name '*.html' -o -name '*.proto' \) 2>/dev/null) \
  tools/swc.cjs tools/build.mjs package.json apps/dashboard/build.mjs
DEMO_MODEL := $(MODELS_DIR)/encoder-tiny/model.onnx
CHECKS := tools/checks/.venv/.installed
HELM_VERSION := v4.3.1
KUBECONFORM_VERSION := v0.8.0
DEPLOY_TOOLS := tools/checks/.bin/helm-$(HELM_VERSION)-kubeconform-$(KUBECONFORM_VERSION)

help: ## lists the targets
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' $(MAKEFILE_LIST)

up: build $(DEMO_MODEL) ## installs what is missing, builds, starts everything in the foreground with a demo model
	@MODELS_DIR=$(MODELS_DIR) exec node bin/interleave.js up

# The sub-make looks at the sources again after `npm ci`.
build: setup ## installs what is missing and builds, incrementally
	@$(MAKE) --no-print-directory $(NATIVE_ADDON) $(TS_BUILT)

setup:
	@tools/setup.sh

$(NATIVE_ADDON): $(NATIVE_SOURCES)
	@echo 'build: native addon'
	@bash libs/native/build.sh
	@touch $@

$(TS_BUILT): $(TS_SOURCES)
	@echo 'build: TypeScript'
	@npm run --silent build
	@touch $@

$(DEMO_MODEL): | build
	@echo 'build: demo model encoder-tiny'
	@node dist/tools/model-builder/src/main.js --out $(MODELS_DIR) --models encoder-tiny

test: ## every test: C++, types and lint, unit, end to end
	@tools/setup.sh --tests
	@$(MAKE) --no-print-directory build
	@tools/test.sh

lint: setup ## Oxlint, types, the import rules, formatting, dead exports
	@npm run --silent lint

bench: build ## the benchmarks of bench/, results in bench/results
	@cmake --build libs/native/build --target bare_runs queue_times -- -s --no-print-directory
	@tools/bench.sh

faults: build ## kills and freezes parts of a node under live load, results in bench/results
	@tools/bench.sh faults

nightly: build ## the tests that take too long for `make test`, load tests included
	@node_modules/.bin/jest --config jest.config.cjs --selectProjects nightly load --runInBand

coverage: build ## what of apps and libs the unit tests run, one line
	@tools/coverage.sh

load: build ## the load tests, minutes each
	@node_modules/.bin/jest --config jest.config.cjs --selectProjects load --runInBand

check-onnx: build $(CHECKS) ## the ONNX node suite against bare ONNX Runtime, some 15 minutes
	@cd tools/checks && .venv/bin/python onnx_suite.py

check-models: build $(CHECKS) ## real models out of packages against bare ONNX Runtime, 3 minutes
	@cd tools/checks && .venv/bin/python real_models.py

check-hostile: build $(CHECKS) $(DEMO_MODEL) ## a hostile client beside live requests, 3 minutes
	@cd tools/checks && .venv/bin/python hostile.py

check-doors: build $(CHECKS) ## the clients of others, call by call, by TLS and with keys, 1 minute
	@cd tools/checks && .venv/bin/python doors.py

check-keys: build $(CHECKS) ## 10 000 wrong keys, and keys and certificates that change under load, 2 minutes
	@cd tools/checks && .venv/bin/python keys.py

check-mutations: build $(CHECKS) ## 100 000 mutated HTTP and gRPC requests beside good ones, 4 minutes
	@cd tools/checks && .venv/bin/python mutations.py

check-deploy: setup $(DEPLOY_TOOLS) ## the Helm chart and KServe's files by helm lint, helm template and kubeconform, 1 minute; needs Go
	@HELM=$(DEPLOY_TOOLS)/helm KUBECONFORM=$(DEPLOY_TOOLS)/kubeconform node tools/checks/deploy.mjs

# The folder is there once both programs are. Compiling them takes minutes.
$(DEPLOY_TOOLS):
	@echo 'check-deploy: compiling helm $(HELM_VERSION) and kubeconform $(KUBECONFORM_VERSION)'
	@mkdir -p $@.new
	@PATH="$$PATH:/usr/local/go/bin" GOBIN=$(CURDIR)/$@.new go install helm.sh/helm/v4/cmd/helm@$(HELM_VERSION)
	@PATH="$$PATH:/usr/local/go/bin" GOBIN=$(CURDIR)/$@.new go install github.com/yannh/kubeconform/cmd/kubeconform@$(KUBECONFORM_VERSION)
	@mv $@.new $@

$(CHECKS): tools/checks/requirements.txt
	@python3 -m venv tools/checks/.venv
	@tools/checks/.venv/bin/pip install --quiet -r tools/checks/requirements.txt
	@! command -v go > /dev/null || GOBIN=$(CURDIR)/tools/checks/.bin go install github.com/fullstorydev/grpcurl/cmd/grpcurl@latest
	@! command -v go > /dev/null || GOBIN=$(CURDIR)/tools/checks/.bin go install github.com/grpc-ecosystem/grpc-health-probe@latest
	@touch $@

gpu-check: build ## what needs a GPU; fails with 77 where there is none, set ORT_LIBRARY to a GPU build
	@node dist/tools/gpu-check/src/main.js
	@node_modules/.bin/jest --config jest.config.cjs --selectProjects gpu --runInBand

sanitize: ## C++ tests under ASan with UBSan, then under TSan
	@tools/setup.sh --tests
	@bash libs/native/build.sh --sanitize=address && ctest --test-dir libs/native/build-asan --output-on-failure
	@bash libs/native/build.sh --sanitize=thread && ctest --test-dir libs/native/build-tsan --output-on-failure

format: setup ## formats TypeScript and C++
	@node_modules/.bin/oxfmt
	@tools/clang-format.sh

clean: ## removes what was built; data/, models/ and node_modules/ stay
	rm -rf dist coverage libs/native/build libs/native/build-asan libs/native/build-tsan
