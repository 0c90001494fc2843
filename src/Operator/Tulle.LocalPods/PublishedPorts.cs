using System.Globalization;
using System.Net;
using Tulle.Resources;

namespace Tulle.LocalPods;

/// <summary>Ports of this machine that lead to services: annotation tulle.dev/publish "ADDRESS:PORT:SERVICEPORT".</summary>
internal sealed class PublishedPorts(Func<IReadOnlyList<LocalPod>> pods, Action<string> say) : IDisposable
{
    /// <summary>By the address they listen on, with what they lead to.</summary>
    private readonly Dictionary<string, (string What, PortForward Forward)> _forwards = new(StringComparer.Ordinal);

    /// <summary>Opens what the services ask for and closes the rest.</summary>
    /// <exception cref="CommandException">A port is taken by another process.</exception>
    public void Follow(IEnumerable<ServiceResource> services)
    {
        var wanted = new Dictionary<string, (string What, ServiceResource Service, int Target)>(StringComparer.Ordinal);
        foreach (var service in services)
        {
            if (service.Meta.Annotation("tulle.dev/publish") is not { Length: > 0 } text || text.Split(':') is not { Length: 3 } parts)
                continue;
            var listen = $"{parts[0]}:{parts[1]}";
            if (service.Ports.FirstOrDefault(p => p.Port.ToString(CultureInfo.InvariantCulture) == parts[2]) is not { } port)
                continue;
            var target = int.TryParse(port.TargetPort, out var number) ? number : port.Port;
            var what = $"{service.Meta.Namespace} {target} {string.Join(',', service.Selector)}";
            if (!wanted.TryAdd(listen, (what, service, target)) && _forwards.GetValueOrDefault(listen).What != what)
                say($"service {service.Meta.Namespace}/{service.Meta.Name}: {listen} is published by another service already; change one tulle.dev/publish");
        }
        foreach (var (listen, (what, forward)) in _forwards.ToList())
        {
            if (wanted.TryGetValue(listen, out var still) && still.What == what)
                continue;
            forward.Dispose();
            _forwards.Remove(listen);
        }
        foreach (var (listen, (what, service, target)) in wanted.Where(w => !_forwards.ContainsKey(w.Key)))
        {
            var forward = new PortForward(listen, () => Target(service, target));
            forward.Start();
            _forwards[listen] = (what, forward);
        }
    }

    private IPEndPoint? Target(ServiceResource service, int port) => pods()
        .Where(p => p.Phase == PodPhase.Ready && p.Namespace == service.Meta.Namespace && service.Selector.All(s => p.Injected.Labels.TryGetValue(s.Key, out var v) && v == s.Value))
        .Select(p => new IPEndPoint(IPAddress.Parse(p.Address), port)).FirstOrDefault();

    public void Dispose()
    {
        foreach (var (_, forward) in _forwards.Values)
            forward.Dispose();
    }
}
