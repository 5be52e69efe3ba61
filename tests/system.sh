#!/bin/sh
# What the viewer's tests need beside Python: a screen without a monitor, software OpenGL, a browser. Without apt-get or
# the right to use it, the tests that need them skip and say so.
set -u
packages="xvfb chromium chromium-driver libusb-1.0-0 libgl1 libgl1-mesa-dri libegl1 libx11-6 libudev1 libidn2-0 libgomp1
libvulkan1 mesa-vulkan-drivers"
missing=""
for package in $packages; do
    dpkg -s "$package" > /dev/null 2>&1 || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
root=""
[ "$(id -u)" = 0 ] || root="sudo -n"
echo "installing$missing"
# shellcheck disable=SC2086 # several words are meant
$root apt-get update -qq && DEBIAN_FRONTEND=noninteractive $root apt-get install -y -qq --no-install-recommends $missing \
    > /dev/null || echo "could not install$missing: tests that need them skip"
