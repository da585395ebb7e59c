Dim key = "<<id:1[0..4]>>" & "<<id:1[4..20]>>"
Dim secret = "<<secret:1[0..20]>>" & _
    "<<secret:1[20..40]>>"
