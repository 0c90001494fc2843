using System.Text;
using Tulle.Base;
using Tulle.Testing;

namespace Tulle.Sidecar.Tests;

/// <summary>
/// HTTP/1 as whole connections: whatever clients and servers say, and however it is cut, no callback throws, nothing spins, and buffers, permits and
/// sockets come back. TULLE_FUZZ_SECONDS=600 makes a soak of it.
/// </summary>
public class ConversationFuzzTests
{
    private static readonly string Configuration = SimulatedProxy.Http(
        "timeout: 0s, retry_policy: { retry_on: \"reset-before-request,retriable-status-codes\", retriable_status_codes: [ 599 ], num_retries: 1 }",
        "circuit_breakers: { thresholds: [ { max_connections: 2 } ] },",
        "upgrade_configs: [ { upgrade_type: websocket }, { upgrade_type: CONNECT } ]\n          http_protocol_options: { enable_trailers: true, accept_http_10: true }");

    private const string Get = "GET /a HTTP/1.1\r\nHost: a\r\n\r\n";
    private const string Post = "POST /b HTTP/1.1\r\nHost: a\r\nContent-Length: 11\r\n\r\nhello world";
    private const string Chunked = "POST /c HTTP/1.1\r\nHost: a\r\nTransfer-Encoding: chunked\r\nTrailer: x-t\r\n\r\n5\r\nhello\r\n6;a=\"b\"\r\n world\r\n0\r\nx-t: 1\r\n\r\n";
    private const string Expect = "PUT /d HTTP/1.1\r\nHost: a\r\nExpect: 100-continue\r\nContent-Length: 3\r\n\r\nabc";
    private const string Old = "GET /e HTTP/1.0\r\nHost: a\r\nConnection: keep-alive\r\n\r\n";
    private const string Upgrade = "GET /f HTTP/1.1\r\nHost: a\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nraw bytes";
    private const string Absolute = "OPTIONS http://b:80/g?h HTTP/1.1\r\nHost: b\r\nConnection: x-hop, te\r\nX-Hop: 1\r\nTE: trailers\r\n\r\n";
    private const string Close = "DELETE /i HTTP/1.1\r\nHost: a\r\nConnection: close\r\n\r\n";
    private const string Connect = "CONNECT a:1 HTTP/1.1\r\nHost: a:1\r\n\r\nraw bytes";

    private static readonly byte[][] Requests =
    [
        .. new[] { Get, Get + Post + Get, Chunked + "\r\n" + Chunked + Get, Expect + Old + Get, Get + Upgrade, Absolute + Get + Close, Post + Connect }.Select(Encoding.ASCII.GetBytes),
    ];

    private static readonly byte[][] RequestTokens =
    [
        .. new[]
        {
            "\r\n", "\r", "\n", "\0", ": ", " ", "0\r\n\r\n", "Content-Length: 5\r\n", "Content-Length: 0\r\n", "Transfer-Encoding: chunked\r\n", "Host: a\r\n", "Connection: close\r\n",
            "Connection: host\r\n", "Upgrade: h2c\r\n", "Expect: 100-continue\r\n", "HTTP/1.1", "HTTP/1.0", "POST /x ", "ffffffffffffffff\r\n", "00000000000000005\r\n", "x-t: 1\r\n", Get, Post, Chunked,
            "x: " + new string('y', 3000) + "\r\n", new string('z', 70_000),
        }.Select(Encoding.ASCII.GetBytes),
    ];

    private static readonly byte[][] Answers =
    [
        .. new[]
        {
            "HTTP/1.1 200 OK\r\nContent-Length: 5\r\n\r\nZZZZZ", "HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n3\r\nZZZ\r\n2\r\nZZ\r\n0\r\nx-end: 1\r\n\r\n", "HTTP/1.1 204 No\r\n\r\n",
            "HTTP/1.0 200 OK\r\n\r\nZZZZ", "HTTP/1.1 103 E\r\nx: y\r\n\r\nHTTP/1.1 100 C\r\n\r\nHTTP/1.1 404 No\r\nContent-Length: 1\r\n\r\nZ", "HTTP/1.1 599 Again\r\nContent-Length: 0\r\n\r\n",
            "HTTP/1.1 101 S\r\nConnection: upgrade\r\nUpgrade: websocket\r\n\r\nraw", "HTTP/1.1 304 N\r\nContent-Length: 7\r\n\r\n",
            "HTTP/1.1 200 OK\r\nConnection: close, x-hop\r\nX-Hop: 1\r\nContent-Length: 40000\r\n\r\n" + new string('Z', 40_000),
        }.Select(Encoding.ASCII.GetBytes),
    ];

    /// <summary>One proxy with its way of cutting, and the servers behind it.</summary>
    private sealed class Scene : IDisposable
    {
        private readonly SimulatedProxy _proxy;
        private readonly List<Server> _servers = [];
        private byte[] _answer = [];
        private SeededRandom? _hostile;

        [ThreadStatic]
        private static string? t_thrown;

        static Scene() => AppDomain.CurrentDomain.FirstChanceException += (_, happened) => t_thrown = $"{happened.Exception.GetType().Name} {happened.Exception.Message} {Environment.StackTrace}";

        public Scene(ulong seed, int windowBytes, bool isCalm)
        {
            _proxy = new SimulatedProxy(seed, windowBytes, isCalm, Configuration);
            _proxy.Kernel.OnConnect = (_, far) =>
            {
                if (_hostile is { } random && random.Next(10) == 0)
                    return -Errno.ECONNREFUSED;
                _servers.Add(new Server(far));
                return 0;
            };
        }

        private sealed class Server(SimulatedSocket socket)
        {
            private readonly byte[] _buffer = new byte[8192];
            private int _answered;

            public SimulatedSocket Socket { get; } = socket;

            public MessageReader Reader { get; } = new(isRequest: true);

            public byte[] Unsent { get; private set; } = [];

            public bool Play(byte[] answer, SeededRandom? hostile)
            {
                if (Socket.IsClosed)
                    return false;
                var moved = false;
                for (int count; (count = Socket.ReadAll(_buffer)) > 0; moved = true)
                    Reader.Feed(_buffer.AsSpan(0, count));
                // A hostile one may answer before it was asked.
                var early = hostile is not null && hostile.Next(40) == 0;
                while (_answered < Reader.Messages || early)
                {
                    _answered++;
                    early = false;
                    Unsent = [.. Unsent, .. answer];
                }
                if (Unsent.Length > 0 && Socket.Write(Unsent) is > 0 and var sent)
                {
                    Unsent = Unsent[sent..];
                    moved = true;
                }
                if (Socket.IsEnded || (hostile is not null && Unsent.Length == 0 && _answered > 0 && hostile.Next(20) == 0))
                    Socket.Close();
                else if (hostile?.Next(200) == 0)
                    Socket.Reset();
                return moved;
            }
        }

        /// <summary>Plays a whole conversation until nothing moves any more: the statuses that came, and how much content.</summary>
        public (List<int> Statuses, int Content) Converse(byte[] said, byte[] answer, SeededRandom? hostile)
        {
            (_answer, _hostile) = (answer, hostile);
            _servers.Clear();
            var client = _proxy.Connect();
            var got = new StringBuilder();
            var buffer = new byte[8192];
            var sent = 0;
            for (int turn = 0, quiet = 0; quiet < 30; turn++)
            {
                Check(turn < 20_000, "the conversation does not end");
                var moved = false;
                if (sent < said.Length && client.Write(said.AsSpan(sent)) is > 0 and var count)
                {
                    sent += count;
                    moved = true;
                }
                for (int read; (read = client.ReadAll(buffer)) > 0; moved = true)
                    got.Append(Encoding.Latin1.GetString(buffer, 0, read));
                foreach (var server in _servers)
                    moved |= server.Play(_answer, _hostile);
                if (_hostile?.Next(300) == 0)
                    client.Reset();
                _proxy.Turn();
                quiet = moved ? 0 : quiet + 1;
                if (client.IsClosed)
                    break;
            }
            Clean(client);
            var text = got.ToString();
            var statuses = text.Split("HTTP/1.").Skip(1).Where(s => s.Length > 5 && s[1] == ' ' && int.TryParse(s.AsSpan(2, 3), out _)).Select(s => int.Parse(s.AsSpan(2, 3))).ToList();
            return (statuses, text.Count(c => c == 'Z'));
        }

        private void Clean(SimulatedSocket client)
        {
            if (!client.IsClosed)
                client.Close();
            foreach (var server in _servers.Where(s => !s.Socket.IsClosed))
                server.Socket.Close();
            // Lingering ends with the second that it may last.
            for (var turn = 0; _proxy.Loop.SocketCount > 1 || _proxy.Loop.Buffers.Rented > 0; turn++)
            {
                Check(turn < 3000, $"{_proxy.Loop.Buffers.Rented} buffers are rented, {_proxy.Loop.SocketCount} sockets open");
                foreach (var server in _servers.Where(s => !s.Socket.IsClosed))
                    server.Socket.Close();
                _proxy.Turn();
            }
            Check(_proxy.Breaker is { Connections: 0, Pending: 0, Requests: 0, Retries: 0 }, "a permit is lost");
            Check(_proxy.Loop.FaultCount == 0, $"a callback threw: {t_thrown}");
            foreach (var server in _servers)
                Check(server.Reader.Error is null, $"a server was sent what is no request: {server.Reader.Error}");
        }

        private static void Check(bool holds, string otherwise)
        {
            if (!holds)
                throw new InvalidOperationException(otherwise);
        }

        public void Dispose() => _proxy.Dispose();
    }

    [Fact]
    public Task Any_way_of_cutting_a_conversation_gives_the_same_answers() => Task.Run(() =>
    {
        using var whole = new Scene(1, 1 << 20, isCalm: true);
        using var cut = new Scene(2, 700, isCalm: false);
        Fuzzer.Run("conversations", Requests, RequestTokens, (said, random) =>
        {
            // A well-behaved answer: what a broken one does depends on when it is seen.
            var answer = Answers[random.Next(2)];
            var (expected, content) = whole.Converse(said, answer, null);
            var (statuses, otherContent) = cut.Converse(said, answer, null);
            // After a refusal the connection may end or go on with the next request, depending on what of the body was here.
            var refused = expected.FindIndex(s => s >= 400);
            var same = refused < 0 ? expected.SequenceEqual(statuses) && content == otherContent
                : statuses.Count > refused && expected.Take(refused + 1).SequenceEqual(statuses.Take(refused + 1));
            if (!same)
                throw new InvalidOperationException($"whole: {string.Join(' ', expected)}, {content} bytes; cut: {string.Join(' ', statuses)}, {otherContent} bytes");
            return HashCode.Combine(string.Join(' ', expected), content);
        });
    });

    [Fact]
    public Task Hostile_conversations_leave_nothing_behind() => Task.Run(() =>
    {
        using var cut = new Scene(3, 900, isCalm: false);
        using var calm = new Scene(4, 5000, isCalm: true);
        Fuzzer.Run("hostile conversations", Answers, [.. RequestTokens, .. Answers], (answer, random) =>
        {
            var said = Requests[random.Next(Requests.Length)];
            var scene = random.Next(2) == 0 ? cut : calm;
            var (statuses, _) = scene.Converse(said, answer, random);
            return HashCode.Combine(string.Join(' ', statuses));
        });
    });
}
