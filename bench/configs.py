"""One piece of work, said in the configuration of each proxy. Every proxy does the same: 20 hosts with 5 prefixes each, three fields added to a
request and one to an answer, a time-out, retries, counters; the log, TLS on one side or on both, as the row asks."""

PROXY, SECOND, ADMIN = 18080, 18084, 18082
HOSTS, PREFIXES = 20, 5
# Said everywhere: nginx 1.22 and Envoy's upstream side would speak TLS 1.2 by default.
TLS13 = "tls_params: { tls_minimum_protocol_version: TLSv1_3, tls_maximum_protocol_version: TLSv1_3 }"
HOST, PATH = f"h{HOSTS - 3}.example.com", f"/p{PREFIXES - 2}/1k"


class Row:
    """What a row measures. tls: "" | "down" (clients speak TLS to the proxy) | "both" (proxy to proxy over mTLS, both in one process)."""

    def __init__(self, title, unit, kind, upstream, log=False, tls="", once=False, resume=False):
        self.title, self.unit, self.kind, self.upstream, self.log, self.tls, self.once, self.resume = title, unit, kind, upstream, log, tls, once, resume


def envoy(row, work):
    at = "type.googleapis.com/envoy"
    listeners, clusters = [], []

    def filters(cluster, edits):
        if row.kind == "tcp":
            return f'{{ name: t, typed_config: {{ "@type": {at}.extensions.filters.network.tcp_proxy.v3.TcpProxy, stat_prefix: t, cluster: {cluster} }} }}'
        log = f'access_log: [{{ name: f, typed_config: {{ "@type": {at}.extensions.access_loggers.file.v3.FileAccessLog, path: {work}/access.log }} }}],' if row.log else ""
        action = f'{{ cluster: {cluster}, timeout: 15s, retry_policy: {{ retry_on: "connect-failure,refused-stream", num_retries: 2 }} }}'
        if edits:
            routes = ", ".join(f'{{ match: {{ prefix: /p{p} }}, route: {action} }}' for p in range(PREFIXES))
            hosts = ", ".join(f'{{ name: h{h}, domains: ["h{h}.example.com"], routes: [ {routes} ] }}' for h in range(HOSTS))
            fields = ', request_headers_to_add: [ { header: { key: x-bench, value: "1" }, append_action: OVERWRITE_IF_EXISTS_OR_ADD } ]'
        else:
            hosts, fields = f'{{ name: v, domains: ["*"], routes: [ {{ match: {{ prefix: / }}, route: {action} }} ] }}', ""
        return (f'{{ name: h, typed_config: {{ "@type": {at}.extensions.filters.network.http_connection_manager.v3.HttpConnectionManager, stat_prefix: h, {log} '
                f'route_config: {{ virtual_hosts: [ {hosts} ]{fields} }}, http_filters: [ {{ name: envoy.filters.http.router, typed_config: {{ "@type": {at}.extensions.filters.http.router.v3.Router }} }} ] }} }}')

    def listener(port, cluster, tls, mutual, edits):
        secret = f'tls_certificates: [ {{ certificate_chain: {{ filename: {work}/cert.pem }}, private_key: {{ filename: {work}/key.pem }} }} ]'
        trust = f', validation_context: {{ trusted_ca: {{ filename: {work}/root.pem }} }}' if mutual else ""
        socket = (f', transport_socket: {{ name: envoy.transport_sockets.tls, typed_config: {{ "@type": {at}.extensions.transport_sockets.tls.v3.DownstreamTlsContext, '
                  f'disable_stateless_session_resumption: {"false" if row.resume else "true"}, require_client_certificate: {"true" if mutual else "false"}, common_tls_context: {{ {TLS13}, {secret}{trust} }} }} }}') if tls else ""
        listeners.append(f'  - {{ name: l{port}, address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }}, filter_chains: [ {{ filters: [ {filters(cluster, edits)} ]{socket} }} ] }}')

    def cluster(name, port, tls):
        secret = f'tls_certificates: [ {{ certificate_chain: {{ filename: {work}/cert.pem }}, private_key: {{ filename: {work}/key.pem }} }} ], validation_context: {{ trusted_ca: {{ filename: {work}/root.pem }} }}'
        socket = (f', transport_socket: {{ name: envoy.transport_sockets.tls, typed_config: {{ "@type": {at}.extensions.transport_sockets.tls.v3.UpstreamTlsContext, '
                  f'max_session_keys: {1 if row.resume else 0}, common_tls_context: {{ {TLS13}, {secret} }} }} }}') if tls else ""
        once = f', typed_extension_protocol_options: {{ envoy.extensions.upstreams.http.v3.HttpProtocolOptions: {{ "@type": {at}.extensions.upstreams.http.v3.HttpProtocolOptions, common_http_protocol_options: {{ max_requests_per_connection: 1 }}, explicit_http_config: {{ http_protocol_options: {{}} }} }} }}' if row.once and tls else ""
        clusters.append(f'  - {{ name: {name}, type: STATIC, connect_timeout: 5s, load_assignment: {{ cluster_name: {name}, endpoints: [ {{ lb_endpoints: [ {{ endpoint: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {port} }} }} }} }} ] }} ] }}, '
                        f'circuit_breakers: {{ thresholds: [ {{ max_connections: 20000, max_pending_requests: 20000, max_requests: 20000 }} ] }}{socket}{once} }}')

    if row.tls == "both":
        listener(PROXY, "far", tls=False, mutual=False, edits=False)
        cluster("far", SECOND, tls=True)
        listener(SECOND, "u", tls=True, mutual=True, edits=False)
    else:
        listener(PROXY, "u", tls=row.tls == "down", mutual=False, edits=True)
    cluster("u", row.upstream, tls=False)
    lines = "\n".join(listeners), "\n".join(clusters)
    return f"admin: {{ address: {{ socket_address: {{ address: 127.0.0.1, port_value: {ADMIN} }} }} }}\nstatic_resources:\n  listeners:\n{lines[0]}\n  clusters:\n{lines[1]}\n"


def haproxy(row, work):
    mode = "tcp" if row.kind == "tcp" else "http"
    defaults = f"""global
 nbthread 1
 maxconn 6000
 ssl-default-bind-options {"" if row.resume else "no-tls-tickets "}ssl-min-ver TLSv1.3
{f" log {work}/log.sock local0" if row.log else ""}
{"" if row.resume else " tune.ssl.cachesize 0"}
defaults
 mode {mode}
 timeout connect 5s
 timeout client 60s
 timeout server 15s
 retries 2
{" option splice-auto" if row.kind == "tcp" and not row.tls else ""}
{" option httplog" if row.log else ""}
{" log global" if row.log else ""}
"""
    if row.tls == "both":
        once = " option httpclose\n http-reuse never\n" if row.once else ""
        reuse = "" if row.resume else " no-ssl-reuse"
        return defaults + f"""frontend f
 bind 127.0.0.1:{PROXY}
 default_backend far
backend far
{once} server s 127.0.0.1:{SECOND} ssl crt {work}/both.pem ca-file {work}/root.pem verify required{reuse}
frontend g
 bind 127.0.0.1:{SECOND} ssl crt {work}/both.pem ca-file {work}/root.pem verify required
 default_backend u
backend u
 server s 127.0.0.1:{row.upstream}
"""
    bind = f"127.0.0.1:{PROXY}" + (f" ssl crt {work}/both.pem" if row.tls else "")
    if mode == "tcp":
        return defaults + f"frontend f\n bind {bind}\n default_backend u\nbackend u\n server s 127.0.0.1:{row.upstream}\n"
    open(f"{work}/routes.map", "w").write("".join(f"h{h}.example.com/p{p} u\n" for h in range(HOSTS) for p in range(PREFIXES)))
    return defaults + f"""frontend f
 bind {bind}
 unique-id-format %{{+X}}o%ci:%cp_%fi:%fp_%Ts_%rt
 http-request set-header X-Request-Id %[uuid()]
 http-request set-header X-Forwarded-Proto http
 http-request set-header X-Envoy-Expected-Rq-Timeout-Ms 15000
 http-request set-header X-Bench 1
 http-response set-header Server haproxy
 use_backend %[base,map_beg({work}/routes.map)]
backend u
 server s 127.0.0.1:{row.upstream}
"""


def nginx(row, work):
    head = f"worker_processes 1; pid {work}/nginx.pid; error_log /dev/null; daemon off;\n"
    events = "events { worker_connections 9000; }\n"
    server = f"ssl_protocols TLSv1.3; ssl_certificate {work}/cert.pem; ssl_certificate_key {work}/key.pem; ssl_session_tickets {'on' if row.resume else 'off'};"
    mutual = f"{server} ssl_client_certificate {work}/root.pem; ssl_verify_client on;"
    client = f"proxy_ssl_protocols TLSv1.3; proxy_ssl_certificate {work}/cert.pem; proxy_ssl_certificate_key {work}/key.pem; proxy_ssl_trusted_certificate {work}/root.pem; proxy_ssl_verify on; proxy_ssl_name bench; proxy_ssl_session_reuse {'on' if row.resume else 'off'};"
    if row.kind == "tcp":
        load = "load_module /usr/lib/nginx/modules/ngx_stream_module.so;\n"
        if row.tls == "both":
            servers = f"server {{ listen 127.0.0.1:{PROXY}; proxy_pass 127.0.0.1:{SECOND}; proxy_ssl on; {client} }} server {{ listen 127.0.0.1:{SECOND} ssl; {mutual} proxy_pass 127.0.0.1:{row.upstream}; }}"
        else:
            servers = f"server {{ listen 127.0.0.1:{PROXY}; proxy_pass 127.0.0.1:{row.upstream}; }}"
        return load + head + events + f"stream {{ {servers} }}\n"
    log = f"access_log {work}/nginx.log;" if row.log else "access_log off;"
    common = f"{log} keepalive_requests 100000000; proxy_http_version 1.1; proxy_set_header Connection \"\"; proxy_connect_timeout 5s; proxy_read_timeout 15s; proxy_next_upstream error timeout; proxy_next_upstream_tries 3;"
    pool = f"upstream u {{ server 127.0.0.1:{row.upstream}; keepalive 128; keepalive_requests 100000000; }}"
    if row.tls == "both":
        far = f"upstream far {{ server 127.0.0.1:{SECOND}; {'' if row.once else 'keepalive 128; keepalive_requests 100000000;'} }}"
        connection = ' proxy_set_header Connection "close";' if row.once else ""
        servers = f"server {{ listen 127.0.0.1:{PROXY}; location / {{ proxy_pass https://far; {client}{connection} }} }} server {{ listen 127.0.0.1:{SECOND} ssl; {mutual} location / {{ proxy_pass http://u; }} }}"
        return head + events + f"http {{ {common} {pool} {far} {servers} }}\n"
    edits = 'proxy_set_header Connection ""; proxy_set_header X-Request-Id $request_id; proxy_set_header X-Forwarded-Proto $scheme; proxy_set_header X-Envoy-Expected-Rq-Timeout-Ms 15000; proxy_set_header X-Bench 1; add_header X-Envoy-Upstream-Service-Time $upstream_response_time;'
    listen = f"127.0.0.1:{PROXY}" + (" ssl" if row.tls else "")
    places = " ".join(f"location /p{p} {{ proxy_pass http://u; }}" for p in range(PREFIXES))
    servers = " ".join(f"server {{ listen {listen}; server_name h{h}.example.com; {server if row.tls else ''} {places} }}" for h in range(HOSTS))
    return head + events + f"http {{ server_names_hash_bucket_size 64; {common} {pool} {edits} {servers} }}\n"
