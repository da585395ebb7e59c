class Keys {
    static final String ID = "<<id:1[0..8]>>"
        + "<<id:1[8..20]>>";
    static final String SECRET = "<<secret:1[0..10]>>"
        + "<<secret:1[10..20]>>"
        + "<<secret:1[20..30]>>"
        + "<<secret:1[30..40]>>";
}
