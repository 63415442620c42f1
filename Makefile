# make demo       the bundled bag through the live node; BAG= MODEL= MODALITY= FAULTS=1 OUT= for others
# make test       all tests but the slow ones, the runtime's with every Python that is found; two at a time
# make test-all   the slow ones too
# make test-gpu   the tests on a GPU, all of which have to run; writes gpu_report.json (REPORT=), to attach to a report
# make system     the apt packages that the simulation renders with (as root, on Debian and Ubuntu)
# make .venv      the developer's environment (.venv-demo and the others likewise)
# make clean      remove what all these made

# Two lanes of tests that run side by side, see below.
lanes := test-rooms test-live

.DELETE_ON_ERROR:
ifneq ($(MAKECMDGOALS),$(lanes))
.NOTPARALLEL:
endif
.SUFFIXES:
.DEFAULT_GOAL := help

# With a browser, for the test of a page; Ubuntu has it as a snap alone.
SYSTEM_PACKAGES := libegl1 libgl1-mesa-dri $(if $(shell grep -xs ID=debian /etc/os-release),chromium)
# Rooms of tests: what a robot runs; what starts processes and waits for them; what needs no more than ROS's packages.
ROBOT_TESTS := test/core test/inference
LIVE_TESTS := test/nodes test/demo
ROS_TESTS := $(ROBOT_TESTS) test/bags test/doctor test/report test/evaluation
REQUIREMENTS := setup.py requirements-robot.txt $(wildcard constraints/*.txt)

# Inherited from a program of a wheel environment, this keeps ROS from wheels from starting.
unexport _ROS_WHEELS_BOOTSTRAP_COMPLETE

ifdef ROS_DISTRO
# A ROS installation is sourced: its Python, its packages, and its numpy and OpenCV left alone. The constraints ask for
# the numpy that is there and for an OpenCV wheel that does not exist, so that pip stops where it would replace them.
define use_system
$(python) -c 'import numpy; print(f"numpy=={numpy.__version__}\nopencv-python==0\nopencv-python-headless==0")' > $(@D)/constraints.txt
$(pip) --no-deps -r requirements-robot.txt
endef
interpreter = $(shell command -v python3)
venv_options := --system-site-packages
constraints = $(@D)/constraints.txt
main_extras := report,test
main_rooms := $(ROS_TESTS)
main_marks = not torch$(if $(slow),, and not slow)
demo_extras := report
else
unexport PYTHONPATH LD_LIBRARY_PATH
find_python := scripts/find_python
interpreter = $(shell $(find_python) $(versions))
constraints = constraints/tested.txt
main_extras := all
main_rooms := test $(LIVE_TESTS:%=--ignore=%)
main_marks = $(if $(slow),,not slow)
demo_extras := demo
pythons := $(foreach version,3.10 3.12 3.13,$(if $(shell $(find_python) $(version)),$(version)))
robots := $(if $(filter 3.10,$(pythons)),jetpack-6) $(if $(filter 3.12,$(pythons)),ubuntu-24.04)
endif

# An environment is finished when its stamp is there. What makes it: Pythons in order of preference, extras of setup.py,
# and the versions it is held to.
python_stamps := $(pythons:%=.venv-%/.made)
robot_stamps := $(robots:%=.venv-%/.made)
stamps := .venv/.made .venv-demo/.made $(python_stamps) $(robot_stamps)
.venv/.made .venv-demo/.made: versions := 3.11 3.12 3.13 3.10
.venv/.made: extras := $(main_extras)
.venv-demo/.made: extras := $(demo_extras)
$(python_stamps): versions = $(@:.venv-%/.made=%)
$(python_stamps): extras := demo,test
.venv-jetpack-6/.made: versions := 3.10
.venv-ubuntu-24.04/.made: versions := 3.12
$(robot_stamps): extras := runtime,test
$(robot_stamps): constraints = constraints/$(@:.venv-%/.made=%).txt

python = $(@D)/bin/python
pip = $(python) -m pip install -qq --disable-pip-version-check

.PHONY: help demo test test-all test-gpu $(lanes) system clean

help:
	@sed -n 's/^# make/make/p' Makefile

demo: .venv-demo
	.venv-demo/bin/gemini-ros demo $(if $(BAG),--bag "$(BAG)") $(if $(MODEL),--model "$(MODEL)") \
	    $(if $(MODALITY),--modality "$(MODALITY)") $(if $(FAULTS),--faults) $(if $(OUT),--out "$(OUT)")

test-all: slow := yes
test test-all: .venv/.made $(python_stamps) $(robot_stamps)
	@echo "Two runs of tests at a time; each is shown when it has ended"
	@$(MAKE) --no-print-directory --jobs=2 --output-sync=line slow=$(slow) $(lanes)

test-gpu: .venv
	GPU_REPORT=$(or $(REPORT),gpu_report.json) REQUIRE_GPU=1 .venv/bin/python -m pytest test/gpu

# One lane computes, on one core; the other mostly waits for processes, which leaves it the other core for what is timed.
# The last Python's processes follow the first lane's computing: so both are about equally long.
$(lanes): export OMP_NUM_THREADS := 1
$(lanes): export OMP_WAIT_POLICY := PASSIVE
last := $(lastword $(pythons))
further_marks := not torch and not slow and not once

test-rooms:
	$(call run,.venv,$(main_rooms),$(main_marks))
	$(foreach name,$(pythons) $(robots),$(call run,.venv-$(name),$(ROBOT_TESTS),$(further_marks)))
	$(foreach name,$(last),$(call run,.venv-$(name),$(LIVE_TESTS),$(further_marks)))

test-live:
	$(call run,.venv,$(LIVE_TESTS),$(main_marks))
	$(foreach name,$(filter-out $(last),$(pythons)),$(call run,.venv-$(name),$(LIVE_TESTS),$(further_marks)))

# $(call run,ENVIRONMENT,ROOMS,MARKS): one line of a lane.
define run
$(1)/bin/python -m pytest $(if $(slow),--hypothesis-profile=search) -m "$(3)" $(2)

endef

$(stamps:/.made=): %: %/.made

$(stamps): $(REQUIREMENTS)
	@[ -n "$(interpreter)" ] || { echo "No Python of $(versions) with venv and ensurepip was found" >&2; exit 1; }
	[ -x $(python) ] || $(interpreter) -m venv --clear $(venv_options) $(@D)
	$(pip) --upgrade pip
	$(use_system)
	$(pip) --constraint $(constraints) --editable '.[$(extras)]'
	@touch $@

system:
	@missing=$$(for name in $(SYSTEM_PACKAGES); do dpkg --status $$name >/dev/null 2>&1 || echo $$name; done); \
	[ -z "$$missing" ] || { apt-get update && apt-get install --yes --no-install-recommends $$missing; }

clean:
	rm -rf .venv .venv-* build install log demo_output gemini_ros.egg-info
