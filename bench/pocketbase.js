// The PocketBase collection of the benchmark: daybook's columns, publicly writable.
migrate((app) => {
    const collection = new Collection({
        type: "base",
        name: "requests",
        createRule: "",
        fields: [
            { type: "number", name: "timestamp", required: true },
            { type: "text", name: "method", required: true },
            { type: "text", name: "path", required: true },
            { type: "number", name: "content_length" },
            { type: "text", name: "remote_addr" },
        ],
    });
    app.save(collection);
}, (app) => {
    app.delete(app.findCollectionByNameOrId("requests"));
});
