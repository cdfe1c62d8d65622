# What the notes of documents begin with: a world in which their commands work.

# A simulated Intel and AMD, and a service that asks them.
a_service() {
    thim simulate --write-config trial.toml
    export THIM_CONFIG=$PWD/trial.toml
    thim serve
}

# The same as https://thim.example:8443, with a CA that everybody here trusts.
a_tls_service() {
    thim simulate --write-config trial.toml
    export THIM_CONFIG=$PWD/trial.toml
    [ -d pki ] || thim init --folder pki --name thim.example >/dev/null
    thim serve --listen 0.0.0.0:8443 \
        --tls-cert pki/server.pem --tls-key pki/server.key
    cp pki/ca.pem ca.pem
    export SSL_CERT_FILE=$PWD/ca.pem CURL_CA_BUNDLE=$PWD/ca.pem
}

# A token of a role.
a_token() {
    thim token create --name "doc-$1" --role "$1"
}

# A quote of one of the simulated machines.
a_quote() {
    curl -s http://127.0.0.1:8182/quotes \
        -H 'Accept: application/octet-stream' \
        -d '{"platform": "ice-1", "kind": "sgx-v3"}' -o quote.bin
}

# Wait until an agent has fetched what it answers.
an_answer() {
    until curl -s "$1" -H 'Metadata: true' -o /dev/null; do sleep 0.1; done
}

# The first key of a JWKS, in PEM.
key_of() {
    python3 - "$1" <<'END'
import sys
from joserfc.jwk import KeySet
import json
keys = KeySet.import_key_set(json.load(open(sys.argv[1])))
sys.stdout.buffer.write(keys.keys[0].as_pem(private=False))
END
}
