#!/bin/sh
# SPDX-License-Identifier: EUPL-1.2
# signed_zone.sh DIR PORT — makes the signed zone hosp.test in DIR (one of its
# records altered after signing), writes its trust anchor to DIR/anchor, and
# becomes the name server for it and for the unsigned plain.test.
set -eu
cd "$1"
cat >hosp.test.zone <<'ZONE'
$TTL 300
@ IN SOA ns.hosp.test. admin.hosp.test. 1 3600 600 86400 300
@ IN NS ns.hosp.test.
@ IN MX 10 mx.hosp.test.
ns IN A 127.0.0.1
mx IN A 192.0.2.1
_25._tcp.mx IN TLSA 3 1 1 aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa
_25._tcp.bad IN TLSA 3 1 1 bbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbbb
ZONE
cat >plain.test.zone <<'ZONE'
$TTL 300
@ IN SOA ns.plain.test. admin.plain.test. 1 3600 600 86400 300
@ IN NS ns.plain.test.
@ IN MX 10 mx.plain.test.
ns IN A 127.0.0.1
ZONE
key=$(dnssec-keygen -q -a ECDSAP256SHA256 -f KSK -n ZONE hosp.test 2>/dev/null)
dnssec-keygen -q -a ECDSAP256SHA256 -n ZONE hosp.test >/dev/null 2>&1
dnssec-signzone -q -S -o hosp.test -f signed hosp.test.zone >/dev/null 2>&1
# As one line for each record, so that the altered one is easy to hit.
named-compilezone -q -s full -o hosp.test.signed hosp.test signed >/dev/null 2>&1 || cp signed hosp.test.signed
sed -i 's/3 1 1 BBBB\(.*\)/3 1 1 CCCC\1/' hosp.test.signed
dnssec-dsfromkey -2 "$key" >anchor.new
cat >named.conf <<CONF
options { directory "$1"; listen-on port $2 { 127.0.0.1; }; listen-on-v6 { none; };
  recursion no; dnssec-validation no; pid-file "$1/named.pid"; session-keyfile "$1/session.key"; };
controls { };
zone "hosp.test" { type primary; file "hosp.test.signed"; };
zone "plain.test" { type primary; file "plain.test.zone"; };
CONF
mv anchor.new anchor
exec named -f -c "$1/named.conf" -n 1 >named.log 2>&1
