#!/bin/sh
# SPDX-License-Identifier: EUPL-1.2
# cli.sh PROGRAM SOURCE — the command line as people meet it: help and exit
# status of every command in both languages, mistakes, and the manual pages.
set -u
vgm=$1
source=$2
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
passed=0
failed=0
unset LC_ALL LC_MESSAGES LANG

ok() {
	passed=$((passed + 1))
}
wrong() {
	failed=$((failed + 1))
	echo "FAILED: $*" >&2
}

# expect STATUS TEXT ARGUMENT... : exit status, and a text on either output
expect() {
	status=$1
	text=$2
	shift 2
	"$vgm" "$@" >"$work/out" 2>"$work/err" </dev/null
	got=$?
	if [ $got != "$status" ]; then
		wrong "vgm $*: status $got, not $status"
	elif [ -n "$text" ] && ! cat "$work/out" "$work/err" | grep -qF -- "$text"; then
		wrong "vgm $*: no \"$text\" in: $(cat "$work/out" "$work/err")"
	else
		ok
	fi
}

commands=$("$vgm" --help --lang en | sed -n 's/^  \([a-z]\{2,\}\)  *[a-z].*/\1/p')
for command in $commands; do
	for lang in fr en; do
		usage='Usage :'
		[ $lang = en ] && usage='Usage:'
		expect 0 "$usage vgm $command" "$command" --help --lang $lang
		cp "$work/out" "$work/$lang"
		expect 0 "vgm $command" help "$command" --lang $lang
		cmp -s "$work/out" "$work/$lang" || wrong "help $command is not $command --help"
		longest=$(sed "s/'/ /g" "$work/out" | awk '{ if (length($0) > n) n = length($0) } END { print n }')
		[ "$longest" -le 160 ] || wrong "help of $command has a line of $longest bytes"
	done
	cmp -s "$work/fr" "$work/en" && wrong "help of $command is the same in both languages"
	expect 2 "" "$command" --no-such-option
	expect 2 "" "$command" --lang xx
done
[ "$(echo "$commands" | wc -w)" -ge 4 ] || wrong "only these commands: $commands"

expect 2 "Usage :"
expect 0 "Usage :" --help
expect 0 "Usage:" --help --lang en
expect 2 "Vouliez-vous dire \`vgm config\`" confg
expect 2 "Did you mean \`vgm config\`" --lang en confg
expect 2 "n'existe pas" zzzzzzzz
expect 2 "Did you mean \"--changed\"" config show --chnged --lang en
expect 1 "" help nothing
expect 0 "Vaguemestre 0" version
expect 0 '"version":"0' version --json
expect 0 '"version":"0' --version --json

# configuration
printf 'domains: [hopital.example]\n' >"$work/good.yaml"
printf 'domains: [hopital.example]\nsmtp:\n  max_sise: 5M\n' >"$work/typo.yaml"
printf 'smtp:\n\tmax_size: 5M\n' >"$work/tab.yaml"
expect 0 "est juste" config check "$work/good.yaml"
expect 0 '"right":true' config check "$work/good.yaml" --json
expect 4 "typo.yaml:3:3: l'option « smtp.max_sise » n'existe pas. Vouliez-vous dire « smtp.max_size »" config check "$work/typo.yaml"
expect 4 "typo.yaml:3:3: there is no option" config check "$work/typo.yaml" --lang en
expect 4 '"error":"cmd_said"' config check "$work/typo.yaml" --json
expect 4 "tab.yaml:2:1:" config check "$work/tab.yaml"
expect 4 "n'existe pas" config check "$work/none.yaml"
printf 'directory: %s/people\n' "$work" >"$work/people.yaml"
expect 4 "people" config check "$work/people.yaml"
printf 'a@hopital.example\nnonsense\n' >"$work/people"
expect 4 "2" config check "$work/people.yaml"
printf 'a@hopital.example alias=b@hopital.example\n' >"$work/people"
expect 0 "" config check "$work/people.yaml"
printf 'tls: {certificate: %s/c, key: %s/k}\n' "$work" "$work" >"$work/tls.yaml"
expect 4 "$work/c" config check "$work/tls.yaml"
expect 4 "" config check "$work"
expect 4 "typo.yaml:3:3" serve --config "$work/typo.yaml"
expect 2 "" config
expect 2 "n'est pas attendu ici" config chek
expect 2 "" config check a b
expect 2 "" serve --config "$work/good.yaml" --domain a.example
expect 2 "hopital.example" serve --domain a..b
expect 2 "" serve --domain a.example --set nonsense
expect 2 "Vouliez-vous dire « smtp.max_size »" serve --domain a.example --set smtp.max_sise=1M

# what is shown is read back the same
"$vgm" config show --defaults >"$work/defaults.yaml" && "$vgm" config show "$work/defaults.yaml" >"$work/again.yaml"
cmp -s "$work/defaults.yaml" "$work/again.yaml" && ok || wrong "config show is not read back"
expect 0 "hopital.example" config show --changed "$work/good.yaml"
[ "$(wc -l <"$work/out")" = 1 ] || wrong "config show --changed shows more than what changed"

# password: a hash of the standard input, another one each time
hash1=$(echo 'correct horse' | "$vgm" config password)
hash2=$(printf 'correct horse' | "$vgm" config password)
case $hash1$hash2 in '$argon2id$'*'$argon2id$'*) ok ;; *) wrong "password: $hash1 $hash2" ;; esac
[ "$hash1" != "$hash2" ] || wrong "password: the same hash twice"
printf 'submit: {logins: [{name: a, password: "%s"}]}\n' "$hash1" >"$work/login.yaml"
expect 0 "" config check "$work/login.yaml"
expect 2 "" config password
echo short | "$vgm" config password >/dev/null 2>&1
[ $? = 2 ] && ok || wrong "a short password is taken"

# check: an object a line
expect 0 "address" check
expect 2 "n'est pas un sujet" check nothing
[ "$(printf '{"id":1,"text":"a@B.Example"}\n\n{"id":"x","text":"@"}\n{}\n' | "$vgm" check address | cut -c1-26)" = \
'{"id":1,"valid":true,"mail
{"id":"x","valid":false,"r
{"valid":false,"reason":"a' ] && ok || wrong "check address"
echo '{"id":' | "$vgm" check address >/dev/null 2>&1
[ $? = 2 ] && ok || wrong "check takes what is not JSON"

# verify: where there is nothing
expect 5 "il n'y a pas de registre" verify "$work/nothing"
expect 5 "$work/ledger" verify --state "$work"
expect 2 "" verify a b

# a result that cannot be written is a failure
"$vgm" config show --defaults >/dev/full 2>/dev/null
[ $? = 5 ] && ok || wrong "writing to a full device is not noticed"

# manual pages say what the program says
sh "$source/tools/man" "$vgm" "$work/man"
for page in vgm.1 fr/vgm.1 vgm.yaml.5 fr/vgm.yaml.5; do
	cmp -s "$work/man/$page" "$source/doc/man/$page" && ok ||
		wrong "doc/man/$page is not what the program says: tools/man $vgm"
done

echo "$passed passed, $failed failed"
[ $failed = 0 ]
