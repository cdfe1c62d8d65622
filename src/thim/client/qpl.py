"""
The settings of Intel's QPL, which reads them through QCNL.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Final

from thim.client.service import (
    SYSTEM_STORE,
    WINDOWS_STORE,
    Recipe,
    trust_notes,
)


if TYPE_CHECKING:
    from thim.client.service import Service

#: Where Intel's documentation of QPL puts it.
_WINDOWS_FILE: Final = r"C:\ProgramData\Intel\SGXDCAP\sgx_default_qcnl.conf"
_OPTIONS: Final = """\
"custom_request_options": {
    "get_cert": {
      "headers": { "metadata": "true" },
      "params": { "api-version": "2021-07-22-preview" }
    }
  }"""

_FILE: Final = """\
{
  // Settings of Intel's QPL (QCNL) for thim, as `thim client-config qpl` prints
  // them. If QCNL cannot read this file, for a comma too few or too many, it
  // asks https://localhost:8081 instead: `thim client-config check FILE`.

  // PCK certificates. The slash at the end is needed: QCNL appends to it.
  "pccs_url": "{pcs}",

  // TCB infos, identities and CRLs; without it they are asked of pccs_url.
  "collateral_service": "{pcs}",

  // Check the server's certificate and its name. Never false: make the machine
  // trust the server's CA instead.
  "use_secure_cert": true,

  // early or standard, sent with each question for TCB infos and identities.
  // To thim, standard means the baseline in force.
  "tcb_update_type": "standard",

  // 3.1: CRLs come as DER. 3.0, the default, has them as hexadecimal text, over
  // which readers have stumbled. No part of the URL.
  "pccs_api_version": "3.1",

  // Only 503 and failures to connect are tried again: here 6 times, 5 seconds
  // apart. With a delay of 0 it waits 1, 2, 4 ... seconds.
  "retry_times": 6,
  "retry_delay": 5,

  // How long answers are kept, on disk too. QCNL passes over Cache-Control, so
  // this alone decides after how many hours it sees a new CRL or TCB info. 0 is
  // no cache, 2160 the most.
  "pck_cache_expire_hours": 24,
  "verify_collateral_cache_expire_hours": 24,

{local}
}
"""
_NO_LOCAL: Final = """\
  // "local_pck_url" would be asked for PCK certificates before pccs_url: an
  // agent on this machine, with the custom_request_options that it needs.
  "local_cache_only": false"""
_LOCAL: Final = """\
  // Asked for PCK certificates before pccs_url. A 200 from there is final, even
  // if it is of no use.
  "local_pck_url": "{url}",

  // Sent with questions for PCK certificates only; agents in the manner of
  // Azure's IMDS answer nothing without the header.
  {options}"""


def qpl_file(service: Service, local_pck_url: str | None = None) -> str:
    """
    Return a whole ``sgx_default_qcnl.conf`` for *service*.
    """
    local = _NO_LOCAL
    if local_pck_url is not None:
        url = f"{local_pck_url.rstrip('/')}/"
        local = _LOCAL.replace("{url}", url).replace("{options}", _OPTIONS)
    return _FILE.replace("{pcs}", service.pcs).replace("{local}", local)


def qpl(service: Service, local_pck_url: str | None = None) -> Recipe:
    """
    Return the settings for Linux.
    """
    notes = (
        (
            "Write it to /etc/sgx_default_qcnl.conf, or to the file that "
            "QCNL_CONF_PATH names. The process that loads QPL reads it once, "
            "when it starts: systemctl restart aesmd (or qgsd, for TDX)."
        ),
        *trust_notes(
            service, f"QCNL's libcurl uses the system's store. {SYSTEM_STORE}"
        ),
    )
    return Recipe(text=qpl_file(service, local_pck_url), notes=notes)


def qpl_windows(service: Service, local_pck_url: str | None = None) -> Recipe:
    """
    Return PowerShell lines that write the settings and name their file.
    """
    text = f"""\
# For PowerShell as administrator. QCNL reads the file that the registry names;
# WriteAllText writes UTF-8 without a byte order mark, which QCNL needs.
$file = '{_WINDOWS_FILE}'
$text = @'
{qpl_file(service, local_pck_url)}'@
New-Item -ItemType Directory -Force -Path (Split-Path $file) | Out-Null
[IO.File]::WriteAllText($file, $text)
reg add "HKLM\\SOFTWARE\\Intel\\SGX\\QCNL" /v CONFIG_FILE /t REG_SZ /d $file /f
Restart-Service -Name "AESMService" -ErrorAction Stop
Get-Service -Name "AESMService"
"""
    notes = (
        (
            "Whoever loads QPL must be able to read the file. `thim "
            "client-config qpl > FILE` in Windows PowerShell 5 would write "
            "UTF-16, which QCNL cannot read."
        ),
        *trust_notes(
            service,
            f"QCNL asks through WinHTTP, with Windows' store. {WINDOWS_STORE} "
            "WinHTTP also looks whether the certificate was revoked, and may "
            "refuse one that names no revocation list: docs/intel-qpl.md.",
        ),
    )
    return Recipe(text=text, notes=notes)
