#!/bin/sh
# Install the servers that the lab runs, from Debian; does nothing where they are.
#
# None of them is started, now or at boot: they are to run in namespaces only.
set -eu

here=$(dirname "$0")
policy=/usr/sbin/policy-rc.d

missing=
while read -r package; do
    [ "$(dpkg-query -W -f '${db:Status-Status}' "$package" 2>/dev/null)" = installed ] ||
        missing="$missing $package"
done <"$here/debian-packages.txt"
[ -n "$missing" ] || exit 0

if [ "$(id -u)" != 0 ]; then
    echo "root is needed to install:$missing" >&2
    exit 1
fi

# Maintainer scripts ask this program before they start a service; 101 forbids it.
restore() {
    rm -f "$policy"
    [ ! -e "$policy.saved" ] || mv "$policy.saved" "$policy"
}
# One that is saved already is from a run that was killed.
[ ! -e "$policy" ] || [ -e "$policy.saved" ] || mv "$policy" "$policy.saved"
trap restore EXIT
trap 'exit 1' INT TERM
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod +x "$policy"

before=" $(ls /etc/init.d | tr '\n' ' ') "
export DEBIAN_FRONTEND=noninteractive
apt-get update -qq
# shellcheck disable=SC2086  # one word a package
apt-get install -y -qq --no-install-recommends $missing >/dev/null

for service in $(ls /etc/init.d); do
    case $before in
        *" $service "*) ;;
        *) update-rc.d "$service" disable ;;
    esac
done
