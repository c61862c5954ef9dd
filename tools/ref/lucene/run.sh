#!/bin/sh
# Ranks the comparison collections with Lucene and keeps the lists in bm25/testdata.
#
#   tools/ref/lucene/run.sh [QADIR]
#
# QADIR is the folder with corpus_wiki.jsonl.gz, corpus_docs.jsonl.gz and squad-1.1-dev.json.gz;
# without it only the small, generated collection is ranked. Needs Go, a JDK 11 or newer and Maven.
set -eu
version=9.12.3
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

mvn -q dependency:copy -Dartifact="org.apache.lucene:lucene-core:$version" \
    -DoutputDirectory="$work/lib" </dev/null
javac -cp "$work/lib/*" -d "$work" "$here/LuceneLists.java"

rank() { # NAME [QADIR]
    name=$1
    shift
    mkdir "$work/$name"
    (cd "$root" && go run ./tools/ref/lucene "$work/$name" "$@")
    java -cp "$work:$work/lib/*" LuceneLists "$work/$name" 20 0.9 0.4 1.2 0.75
    for setting in 0.9-0.4 1.2-0.75; do
        gzip -9 -n <"$work/$name/lists-$setting" >"$root/bm25/testdata/lucene-$name-$setting.gz"
    done
}

mkdir -p "$root/bm25/testdata"
rank small
if [ $# -gt 0 ]; then
    rank real "$(cd "$1" && pwd)"
fi
