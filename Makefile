# make demo       the bundled bag through the live node; BAG= MODEL= MODALITY= FAULTS=1 PHRASES= OUT= for others
# make test       all tests but the slow ones, the runtime's with every Python that is found; two at a time
# make test-all   the slow ones too
# make test-gpu   the tests on a GPU, all of which have to run; writes gpu_report.json (REPORT=), to attach to a report
# make site       the documentation as a website in build/site
# make release-check  the wheel and the source distribution in dist/, built and looked into
# make system     the apt packages that the simulation renders with (as root, on Debian and Ubuntu)
# make .venv      the developer's environment (.venv-demo and the others likewise)
# make lock       the newest versions of all packages into constraints/; make test then says whether they work
# make clean      remove what all these made

.DEFAULT_GOAL := help
.SUFFIXES:
.PHONY: help demo site release-check test test-all test-gpu test-rooms test-live system lock clean
# One thing after the other, but for the two lanes of tests.
ifeq ($(filter test-rooms,$(MAKECMDGOALS)),)
.NOTPARALLEL:
endif

# Inherited from a program of a wheel environment, this keeps ROS from wheels from starting.
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE

help:
	@sed -n 's/^# make/make/p' Makefile

# Not empty in all that test-all does.
with_all := $(slow)$(filter test-all,$(MAKECMDGOALS))

# --- Environments: what is in one, and the versions it is held to -----------------------------------------------------
# An environment is finished when its .made is there.

make_environment = scripts/make_environment $(@D)
tools := docs fuzz mutation ray release rerun
environments := .venv $(patsubst %,.venv-%,demo 3.10 3.12 3.13 jetpack-6 ubuntu-24.04 $(tools))
ifdef ROS_DISTRO
# A ROS installation is sourced: its Python and its packages, and no other Python.
.venv/.made:      ; $(make_environment) - report,test
.venv-demo/.made: ; $(make_environment) - report
else
unexport PYTHONPATH LD_LIBRARY_PATH
found = $(foreach version,$(1),$(if $(shell scripts/find_python $(version)),$(version)))
pythons := $(call found,3.10 3.12 3.13)
robots := $(if $(call found,3.10),jetpack-6) $(if $(with_all),$(if $(call found,3.12),ubuntu-24.04))
any := 3.11 3.12 3.13 3.10

.venv/.made:              ; $(make_environment) tested all $(any)
.venv-demo/.made:         ; $(make_environment) tested demo $(any)
.venv-3.%/.made:          ; $(make_environment) tested demo,test 3.$*
.venv-jetpack-6/.made:    ; $(make_environment) jetpack-6 runtime,bags,test 3.10
.venv-ubuntu-24.04/.made: ; $(make_environment) ubuntu-24.04 runtime,bags,test 3.12
.venv-ray/.made:          ; $(make_environment) tested demo,sim,test,ray $(any)
.venv-release/.made:      ; $(make_environment) tested release $(any)
$(patsubst %,.venv-%/.made,$(filter-out ray release,$(tools))): .venv-%/.made: ; $(make_environment) tested demo,test,$* $(any)

# uv installs the others: the same wheels as pip in a fifth of the time, as environments share what one has unpacked.
.venv-uv/.made: constraints/tested.txt
	$$(scripts/find_python $(any)) -m venv --clear .venv-uv
	.venv-uv/bin/python -m pip install --quiet --constraint constraints/tested.txt uv
	.venv-uv/bin/uv pip uninstall --quiet --python .venv-uv pip setuptools
	echo constraints/tested.txt >$@
$(environments:=/.made): .venv-uv/.made
endif

# The version of what is installed is that of gemini_ros/__init__.py.
$(environments:=/.made): setup.py $(wildcard gemini_ros/__init__.py) requirements-robot.txt $(wildcard constraints/*) scripts/make_environment
.PHONY: $(environments)
$(environments): %: %/.made

lock: .venv-uv/.made
	scripts/lock tested 3.10 --all-extras
	scripts/lock jetpack-6 3.10 --extra runtime --extra bags --extra test constraints/jetpack-6.in
	scripts/lock ubuntu-24.04 3.12 --extra runtime --extra bags --extra test constraints/ubuntu-24.04.in

# --- Tests: two lanes side by side ------------------------------------------------------------------------------------
# One computes, on one core; the other mostly waits for processes, which leaves it the other core for what is timed. With
# the newest Python, test runs the processes of the demo, and with the oldest robot's Python, numpy and OpenCV the rooms
# without ROS; test-all runs all that needs no torch, with each Python and each robot's packages. The checks of the code's
# form and of the package are in the second lane, which is as long as the first with them.

robot_tests := test/core test/inference test/pipeline
live_tests := test/nodes test/demo test/faults test/installed_ros
further := -m "not torch and not slow and not once"
last = $(lastword $(pythons))
further_live = $(if $(slow),$(live_tests),test/demo)
further_robots = $(if $(slow),$(pythons)) $(robots)
ifdef ROS_DISTRO
room_tests := $(robot_tests) test/bags test/doctor test/report test/evaluation
main := -m "not torch$(if $(slow),, and not slow)"
else
form := test/package/test_lint.py test/package/test_install.py
room_tests := test $(patsubst %,--ignore=%,$(live_tests) $(form))
main := $(if $(slow),,-m "not slow")
endif

test-all: export slow := yes
test test-all: $(if $(with_all),.venv-docs/.made .venv-ray/.made .venv-rerun/.made) $(patsubst %,.venv%,/.made $(patsubst %,-%/.made,$(if $(with_all),$(pythons),$(last)) $(robots)))
	@echo "Two runs of tests at a time; each is shown when it has ended"
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=line test-rooms test-live

test-rooms test-live: export OMP_NUM_THREADS := 1
test-rooms test-live: export OMP_WAIT_POLICY := PASSIVE

# $(call run,NAME OF THE ENVIRONMENT,TESTS AND MARKS): one line of a lane.
define run
.venv$(1)/bin/python -m pytest $(if $(slow),--hypothesis-profile=search) $(2)

endef

test-rooms:
	$(call run,,$(main) $(room_tests))
	$(foreach name,$(if $(slow),$(last)),$(call run,-$(name),$(further) $(further_live)))
	$(if $(slow),$(call run,-docs,test/docs/test_site_build.py))
	$(if $(slow),$(call run,-ray,test/evaluation/test_on_ray.py))
	$(if $(slow),$(call run,-rerun,test/evaluation/test_rerun.py))

test-live:
	$(call run,,$(main) $(live_tests) $(form))
	$(foreach name,$(if $(slow),$(filter-out $(last),$(pythons)),$(last)),$(call run,-$(name),$(further) $(further_live)))
	$(foreach name,$(further_robots),$(call run,-$(name),$(further) $(robot_tests)))

test-gpu: .venv
	GPU_REPORT=$(or $(REPORT),gpu_report.json) REQUIRE_GPU=1 .venv/bin/python -m pytest test/gpu

# --- And the rest -----------------------------------------------------------------------------------------------------

demo: .venv-demo
	.venv-demo/bin/gemini-ros demo $(if $(BAG),--bag "$(BAG)") $(if $(MODEL),--model "$(MODEL)") \
	    $(if $(MODALITY),--modality "$(MODALITY)") $(if $(FAULTS),--faults) $(if $(PHRASES),--phrases "$$PHRASES") $(if $(OUT),--out "$(OUT)")

# With a browser, for the test of a page; Ubuntu has it as a snap alone.
system_packages := libegl1 libgl1-mesa-dri $(if $(shell grep -xs ID=debian /etc/os-release),chromium)

system:
	@missing=$$(for name in $(system_packages); do dpkg --status $$name >/dev/null 2>&1 || echo $$name; done); \
	[ -z "$$missing" ] || { apt-get update && apt-get install --yes --no-install-recommends $$missing; }

site: .venv-docs
	.venv-docs/bin/mkdocs build --strict

release-check: .venv-release
	scripts/release_check .venv-release/bin

clean:
	rm -rf .venv .venv-* build dist install log demo_output gemini_ros.egg-info
