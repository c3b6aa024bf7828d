#!/bin/sh
# The Debian packages that the integration tests drive: a browser and an RTSP server. Installs what is missing where it
# may, otherwise says what is missing; the tests that need it then skip with a reason (in CI they fail).
packages="chromium chromium-driver gir1.2-gst-rtsp-server-1.0 python3-gi gstreamer1.0-plugins-base
gstreamer1.0-plugins-good gstreamer1.0-plugins-bad gstreamer1.0-plugins-ugly"
missing=
for package in $packages; do
    dpkg-query -W -f '${Status}' "$package" 2>/dev/null | grep -q 'ok installed' || missing="$missing $package"
done
[ -z "$missing" ] && exit 0
if [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; then
    export DEBIAN_FRONTEND=noninteractive
    apt-get update -qq && apt-get install -y -qq --no-install-recommends $missing >/dev/null && exit 0
fi
echo "missing system packages (some integration tests will be skipped): sudo apt-get install$missing" >&2
