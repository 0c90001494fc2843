using Tulle.Base.Documents;

namespace Tulle.Resources;

/// <summary>Kubernetes objects. Fields that the mesh does not use are known by name, so that a misspelt one is found.</summary>
internal static class KubernetesReader
{
    public static ServiceResource Service(FieldReader top, ObjectMeta meta)
    {
        var spec = top.Child("spec") ?? new FieldReader(Node.Map(), top.Diagnostics, top.Subject, "spec");
        var selector = spec.TextMap("selector");
        var clusterIP = spec.Text("clusterIP", "");
        var type = spec.Choice("type", "ClusterIP", "ClusterIP", "NodePort", "LoadBalancer", "ExternalName");
        var external = type == "ExternalName" ? spec.Required("externalName") : spec.Text("externalName", "");
        spec.Accept("clusterIPs", "externalIPs", "sessionAffinity", "sessionAffinityConfig", "loadBalancerIP", "loadBalancerSourceRanges", "loadBalancerClass", "externalTrafficPolicy",
            "internalTrafficPolicy", "healthCheckNodePort", "publishNotReadyAddresses", "ipFamilies", "ipFamilyPolicy", "allocateLoadBalancerNodePorts", "trafficDistribution");
        var ports = new List<ServicePortResource>();
        foreach (var port in spec.Children("ports"))
        {
            port.Accept("nodePort");
            var number = (int)(port.Integer("port", 1, 65535) ?? 0);
            if (number == 0 && !port.Has("port"))
                port.Fail("port", "is required");
            var name = port.Text("name", "");
            if (ports.Exists(p => p.Name == name && name.Length > 0))
                port.Fail("name", $"port name {name} is used twice");
            ports.Add(new ServicePortResource(name, number, port.Text("targetPort", ""), port.Choice("protocol", "TCP", "TCP", "UDP", "SCTP"), port.Text("appProtocol", "")));
            port.Done("is not a field of ServicePort");
        }
        if (ports.Count > 1 && ports.Exists(p => p.Name.Length == 0))
            spec.Fail("ports", "with several ports each needs a name");
        spec.Done("is not a field of ServiceSpec");
        return new ServiceResource(meta, selector, ports, clusterIP, external);
    }

    public static WorkloadResource Workload(FieldReader top, ObjectMeta meta)
    {
        var spec = top.Child("spec") ?? new FieldReader(Node.Map(), top.Diagnostics, top.Subject, "spec");
        var replicas = (int)(spec.Integer("replicas", 0, 10_000) ?? 1);
        var template = spec.Child("template");
        var labels = spec.Child("selector") is { } selector ? selector.TextMap("matchLabels") : [];
        spec.Accept("strategy", "updateStrategy", "minReadySeconds", "revisionHistoryLimit", "paused", "progressDeadlineSeconds", "serviceName", "podManagementPolicy", "volumeClaimTemplates",
            "persistentVolumeClaimRetentionPolicy", "ordinals", "parallelism", "completions", "backoffLimit", "activeDeadlineSeconds", "ttlSecondsAfterFinished", "completionMode", "suspend",
            "manualSelector", "podFailurePolicy", "backoffLimitPerIndex", "maxFailedIndexes", "podReplacementPolicy", "successPolicy", "managedBy");
        if (template is null)
            spec.Fail("template", "is required");
        var read = template is null ? new PodTemplateResource(labels, labels, "default", [], Node.Map()) : Template(template, template.Child("metadata"));
        foreach (var (name, value) in labels)
        {
            if (!read.Labels.TryGetValue(name, out var has) || has != value)
                spec.Fail("selector", $"matchLabels {name}={value} is not among the labels of the template: the workload would never own its pods");
        }
        spec.Done($"is not a field of {meta.Kind}Spec");
        return new WorkloadResource(meta, replicas, read);
    }

    private static PodTemplateResource Template(FieldReader template, FieldReader? metadata)
    {
        metadata?.Accept("name", "namespace", "creationTimestamp", "generateName");
        var labels = metadata?.TextMap("labels") ?? [];
        var annotations = metadata?.TextMap("annotations") ?? [];
        metadata?.Done("is not a field of ObjectMeta");
        var spec = template.Child("spec");
        template.Done("is not a field of PodTemplateSpec");
        return PodSpec(spec, labels, annotations, template);
    }

    private static PodTemplateResource PodSpec(FieldReader? spec, IReadOnlyDictionary<string, string> labels, IReadOnlyDictionary<string, string> annotations, FieldReader owner)
    {
        var ports = new List<ContainerPortResource>();
        if (spec is null)
        {
            owner.Fail("spec", "is required");
            return new PodTemplateResource(labels, annotations, "default", ports, Node.Map());
        }
        var account = spec.Text("serviceAccountName") ?? spec.Text("serviceAccount") ?? "default";
        spec.Accept("serviceAccount", "volumes", "restartPolicy", "terminationGracePeriodSeconds", "activeDeadlineSeconds", "dnsPolicy", "dnsConfig", "nodeSelector", "nodeName", "hostNetwork", "hostPID",
            "hostIPC", "shareProcessNamespace", "securityContext", "imagePullSecrets", "hostname", "subdomain", "affinity", "schedulerName", "tolerations", "hostAliases", "priorityClassName", "priority",
            "readinessGates", "runtimeClassName", "enableServiceLinks", "preemptionPolicy", "overhead", "topologySpreadConstraints", "setHostnameAsFQDN", "os", "hostUsers", "schedulingGates",
            "resourceClaims", "automountServiceAccountToken", "ephemeralContainers", "resources");
        foreach (var container in spec.Children("containers").Concat(spec.Children("initContainers")))
            Container(container, ports);
        if (!spec.Has("containers"))
            spec.Fail("containers", "is required");
        spec.Done("is not a field of PodSpec");
        return new PodTemplateResource(labels, annotations, account, ports, spec.Node);
    }

    private static void Container(FieldReader container, List<ContainerPortResource> ports)
    {
        container.Required("name");
        container.Accept("image", "command", "args", "workingDir", "env", "envFrom", "resources", "resizePolicy", "volumeMounts", "volumeDevices", "livenessProbe", "readinessProbe", "startupProbe",
            "lifecycle", "terminationMessagePath", "terminationMessagePolicy", "imagePullPolicy", "securityContext", "stdin", "stdinOnce", "tty", "restartPolicy");
        foreach (var port in container.Children("ports"))
        {
            port.Accept("hostPort", "hostIP");
            ports.Add(new ContainerPortResource(port.Text("name", ""), (int)(port.Integer("containerPort", 1, 65535) ?? 0), port.Choice("protocol", "TCP", "TCP", "UDP", "SCTP")));
            port.Done("is not a field of ContainerPort");
        }
        container.Done("is not a field of Container");
    }

    public static PodResource Pod(FieldReader top, ObjectMeta meta)
    {
        var template = PodSpec(top.Child("spec"), meta.Labels, meta.Annotations, top);
        var status = top.Node["status"];
        var ready = true;
        foreach (var condition in status?["conditions"]?.Items ?? [])
        {
            if (condition["type"]?.AsText == "Ready")
                ready = condition["status"]?.AsText is "True" or "true";
        }
        if (status?["phase"]?.AsText is "Succeeded" or "Failed")
            ready = false;
        var owner = top.Node.At("metadata", "ownerReferences")?.Items is { Count: > 0 } owners ? owners[0]["name"]?.AsText ?? meta.Name : meta.Name;
        // A ReplicaSet is named after its Deployment with a hash behind.
        if (top.Node.At("metadata", "ownerReferences")?.Items is { Count: > 0 } refs && refs[0]["kind"]?.AsText == "ReplicaSet" && owner.LastIndexOf('-') > 0)
            owner = owner[..owner.LastIndexOf('-')];
        return new PodResource(meta, template, status?["podIP"]?.AsText ?? "", ready, owner);
    }

    public static EndpointSliceResource Slice(FieldReader top, ObjectMeta meta)
    {
        top.Accept("addressType");
        var ports = new List<(string, int)>();
        foreach (var port in top.Children("ports"))
        {
            ports.Add((port.Text("name", ""), (int)(port.Integer("port", 1, 65535) ?? 0)));
            port.Accept("protocol", "appProtocol");
            port.Done("is not a field of EndpointPort");
        }
        var endpoints = new List<EndpointResource>();
        foreach (var endpoint in top.Children("endpoints"))
        {
            var ready = endpoint.Child("conditions")?.Bool("ready") ?? true;
            var pod = endpoint.Child("targetRef") is { } reference ? reference.Text("name", "") : "";
            foreach (var address in endpoint.Texts("addresses"))
                endpoints.Add(new EndpointResource(address, ready, pod));
            endpoint.Accept("hostname", "nodeName", "zone", "hints", "deprecatedTopology");
            endpoint.Done("is not a field of Endpoint");
        }
        return new EndpointSliceResource(meta, meta.Label("kubernetes.io/service-name"), ports, endpoints);
    }
}
