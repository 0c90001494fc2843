using Tulle.Model;

namespace Tulle.Control;

/// <summary>A model that is in force, and its place in the order of models: a stream never goes back to an older one.</summary>
internal sealed record Published(long Number, MeshModel Model, string Version);
