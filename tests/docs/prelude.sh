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
    THIM_ATTESTATION_URL=https://thim.example:8443 \
        thim serve --listen 0.0.0.0:8443 \
        --tls-cert pki/server.pem --tls-key pki/server.key
    cp pki/ca.pem ca.pem
    export SSL_CERT_FILE=$PWD/ca.pem CURL_CA_BUNDLE=$PWD/ca.pem
}

# A token of a role.
a_token() {
    thim token create --name "doc-$1" --role "$1"
}

# A quote of one of the simulated machines, over 32 bytes in hexadecimal digits
# where there are some.
a_quote() {
    local data=${1-}
    data+=$(printf "%0$((128 - ${#data}))d" 0)
    curl -s http://127.0.0.1:8182/quotes \
        -H 'Accept: application/octet-stream' -o quote.bin \
        -d "{\"platform\": \"ice-1\", \"kind\": \"sgx-v3\", \"report_data\": \"$data\"}"
}

# Whether thim takes a configuration, with what it names beside it.
is_taken() {
    mkdir -p /etc/thim /var/lib/thim
    local name
    for name in /etc/thim/thim.crt /etc/thim/vendors.crt /var/lib/thim/server.pem; do
        [ -e $name ] || openssl req -x509 -noenc -subj / \
            -newkey ec -pkeyopt ec_paramgen_curve:P-256 \
            -addext subjectAltName=DNS:thim.example -out $name -keyout ${name%.*}.key
    done
    for name in ops chat; do
        (umask 077; openssl rand -hex 32 >/etc/thim/$name.secret)
    done
    THIM_CONFIG= thim config check --config "$1"
}

# An agent at the address of a cloud's metadata service.
an_agent() {
    ip addr add 169.254.169.254/32 dev lo
    thim agent --listen 169.254.169.254:80
    an_answer http://169.254.169.254/metadata/THIM/amd/certification
}

# What a simulated machine asks for its PCK certificate with.
a_pck_query() {
    curl -s "http://127.0.0.1:8182/platforms/$1" | python3 -c '
import json, sys
told = json.load(sys.stdin)
tcb = told["raw_tcbs"][0]
pcesvn = tcb["pcesvn"].to_bytes(2, "little").hex()
names = "encrypted_ppid={enc_ppid}&qeid={qe_id}&pceid={pce_id}"
print(names.format(**told) + "&cpusvn=" + tcb["cpusvn"] + "&pcesvn=" + pcesvn)'
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
