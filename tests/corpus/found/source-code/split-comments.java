class Keys {
    static final String ID = "<<id:1[0..10]>>" + // the first half
            "<<id:1[10..20]>>";
    static final String SECRET = "<<secret:1[0..20]>>" + // and the second
            "<<secret:1[20..40]>>";
}
