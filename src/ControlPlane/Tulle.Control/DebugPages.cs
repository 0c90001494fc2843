using Tulle.Base.Documents;

namespace Tulle.Control;

/// <summary>What the control plane tells of itself: on the debug address, and on unix sockets to their owner.</summary>
internal sealed class DebugPages(XdsService xds, FolderSource source, TranslationLog log)
{
    public Task ServeAsync(HttpContext context, string path)
    {
        Node? page = path switch
        {
            "/debug/syncz" => Node.List(xds.Describe().ToList()),
            "/debug/names" => Node.Map(xds.Published.Model.Services.Where(s => s.Address.Length > 0).Select(s => new KeyValuePair<string, Node>(s.Host, s.Address)).ToList()),
            "/debug/findings" => Node.List(source.Findings.All.Select(Finding).ToList()),
            "/debug/counters" => Node.Map(("streams", xds.Count), ("translation_failures", log.Failures)),
            _ => null,
        };
        if (path == "/ready")
            return context.Response.WriteAsync("ready\n");
        if (page is null)
        {
            context.Response.StatusCode = 404;
            return context.Response.WriteAsync($"{path} is not here; try /ready, /debug/syncz, /debug/names, /debug/findings, /debug/counters\n");
        }
        context.Response.ContentType = "application/json";
        return context.Response.WriteAsync(NodeJson.Write(page, indented: true));
    }

    private static Node Finding(Diagnostic finding) => Node.Map(("severity", finding.Severity.ToString()), ("position", finding.Position.ToString()),
        ("subject", finding.Subject), ("path", finding.Path), ("message", finding.Message));
}
