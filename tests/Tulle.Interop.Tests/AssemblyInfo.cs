// Real programs on fixed addresses (127.0.0.1:8080, bridges): one class at a time.
[assembly: CollectionBehavior(DisableTestParallelization = true)]
